"""The textbook experiment: three CSV files, every tower alone, then the fusions, on one split.

Made correct: every tower learns from the labels, and the inputs of one post stay on one side.
"""

import json
import tomllib
from pathlib import Path

import msgspec
import numpy as np
import torch

from models.classic.csv_files import read_csv_folder
from models.classic.family import FAMILY
from models.classic.plan import SuitePlan, check_plan
from models.classic.posts import Posts
from models.classic.suite import Result, Split, Suite
from models.corpora import DataError
from models.metrics import single_label
from models.preprocess.cleaning import Clean, plain
from models.training.progress import Report, reporter
from models.training.recipe import RecipeError, find_start, read_toml

KIND = "textbook"
LEAST = 20  # posts below which a split says nothing


class Textbook(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`learn`: share of the posts to learn from, the rest is scored; `held_out`: share of the
    former kept for the weights of the model fusion and for the log."""

    kind: str
    suite: SuitePlan
    name: str = KIND
    learn: float = 0.8
    held_out: float = 0.1
    threads: int = 1


def is_textbook(recipe: Path) -> bool:
    """Whether a recipe is of this kind. A file that cannot be read is not."""
    try:
        return tomllib.loads(recipe.read_text(encoding="utf-8")).get("kind") == KIND
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return False


def run_textbook(
    recipe: Path,
    data: Path,
    out: Path,
    report: Report | None = None,
    *,
    resume: bool = True,
    clean: Clean = plain,
) -> Path:
    """Train all that the recipe names on the CSV files in `data`; return `out/scores.json`.

    Prints a table of the scores. With `resume` models that lie finished in `out` are not trained
    again; without it a folder that holds a run is refused. Raises RecipeError and DataError.
    """
    plan = _read(recipe)
    if not resume and out.exists() and any(out.iterdir()):
        raise RecipeError(f"{out} already holds a run: resume it, or name another folder")
    torch.set_num_threads(plan.threads)
    posts = read_csv_folder(data, clean)
    split = split_posts(posts, plan)
    suite_plan = _for(posts, plan.suite, recipe)

    def find(start: str) -> str:
        return find_start(start, data, out)

    if report is not None:
        results = _train(Suite(split, suite_plan, out, find, report))
    else:
        with reporter() as lines:
            results = _train(Suite(split, suite_plan, out, find, lines))
    scores = _scores(split, results)
    (out / "scores.json").write_text(json.dumps(scores, indent=2) + "\n", encoding="utf-8")
    _print(split, scores)
    return out / "scores.json"


def split_posts(posts: Posts, plan: Textbook) -> Split:
    """Learn, hold out and score; a post, with all it has, is in one of them.

    Posts with the same text count as one and stay together. Raises DataError for too few posts.
    """
    if len(posts) < LEAST:
        raise DataError(f"{len(posts)} posts are too few to learn from and to score; give {LEAST}")
    keys = [text or f"#{index}" for index, text in enumerate(posts.texts)]
    order = {key: place for place, key in enumerate(dict.fromkeys(keys))}
    places = np.random.default_rng(plan.suite.seed).permutation(len(order)) / len(order)
    side = np.array([places[order[key]] for key in keys])  # 0-1
    learn = plan.learn * (1 - plan.held_out)
    return Split(
        posts.take(np.flatnonzero(side < learn)),
        posts.take(np.flatnonzero((side >= learn) & (side < plan.learn))),
        posts.take(np.flatnonzero(side >= plan.learn)),
    )


def _read(recipe: Path) -> Textbook:
    plan = read_toml(recipe, Textbook)
    check_plan(plan.suite, str(recipe))
    return plan


def _for(posts: Posts, plan: SuitePlan, recipe: Path) -> SuitePlan:
    """The plan without the towers of modalities that the posts lack."""
    have = posts.modalities
    towers = {n: wish for n, wish in plan.towers.items() if FAMILY[n].modality in have}
    if not towers:
        raise RecipeError(f"{recipe} has no tower for what the posts have: {', '.join(have)}")
    return msgspec.structs.replace(
        plan, towers=towers, fuse=[name for name in plan.fuse if name in towers]
    )


def _train(suite: Suite) -> list[Result]:
    return [suite.result(name) for name in suite.names]


def _scores(split: Split, results: list[Result]) -> dict[str, dict[str, float]]:
    """The majority class of the posts to learn from, then every tower and fusion."""
    actual = split.test.labels
    majority = np.full(len(actual), np.bincount(split.learn.labels).argmax())
    scores = {"majority class": single_label(majority, actual)}
    for result in results:
        scores[result.name] = single_label(np.array(result.predicted), actual)
        scores[result.name] |= {"parameters": result.parameters, "cpu_seconds": result.seconds}
    return scores


def _print(split: Split, scores: dict[str, dict[str, float]]) -> None:
    learn, held, test = len(split.learn), len(split.held), len(split.test)
    classes = ", ".join(split.test.classes)
    print(f"{test} posts scored, {learn} learnt from, {held} held out. Classes: {classes}")
    print(f"{'':18}{'accuracy':>10}{'macro-F1':>10}{'parameters':>12}{'CPU s':>8}")
    for name, values in scores.items():
        parameters, seconds = values.get("parameters", 0), values.get("cpu_seconds", 0)
        print(
            f"{name:18}{values['accuracy']:>10.3f}{values['macro_f1']:>10.3f}"
            f"{parameters:>12,.0f}{seconds:>8.0f}"
        )
