"""The comparison: one row a model, each finished row kept as a file.

OUT/TASK/rows/NAME.json   a row: what the model said of the dev posts, its size and its cost
OUT/TASK/                 the weights, as `models/classic/suite.py` keeps them
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import torch

from models.classic.family import FAMILY
from models.classic.posts import Indices
from models.classic.suite import FUSIONS, Suite
from models.compare.baselines import LinearWords, majority
from models.compare.posts import read_task
from models.compare.recipe import ComparedTask, CompareRecipe, read_compare_recipe
from models.compare.released import Released
from models.compare.timing import Ask, milliseconds
from models.preprocess.cleaning import Clean, plain
from models.training.progress import Report
from models.training.recipe import RecipeError, find_start

MAJORITY, WORDS, RELEASED = "majority", "tf-idf", "released"
TITLES = {
    MAJORITY: "majority class",
    WORDS: "TF-IDF, logistic regression",
    RELEASED: "**released model**",
}


class Row(msgspec.Struct, frozen=True):
    """One line of the table. `predicted` and `actual` are places in `classes`, of the same posts
    in every row of a task; `subsets` as in `models.classic.suite.Result`; `rows` and `epochs`
    learnt, 0 where nothing was or it is not this run's."""

    task: str
    name: str
    title: str
    classes: list[str]
    actual: list[int]
    predicted: list[int]
    parameters: int
    rows: int
    epochs: int
    seconds: float
    milliseconds: float | None = None
    subsets: dict[str, list[int]] = {}


@dataclass(frozen=True, slots=True)
class Places:
    """Where the corpora lie, the results, the release that is compared, and what pictures and
    sounds go through."""

    data: Path
    out: Path
    release: Path
    clean: Clean = plain


def compare(
    recipe: Path,
    places: Places,
    report: Report,
    *,
    only: Sequence[str] = (),
    show: Callable[[CompareRecipe, list[Row]], None] = lambda plan, rows: None,
) -> list[Row]:
    """Train, score and time what is not done yet; return all rows, task by task.

    `only`: names of tasks, models, or TASK/MODEL; their rows are made anew, though what was
    trained is kept, and nothing else is looked at. `show` is given the finished rows after each
    task, so that a run that is stopped leaves them. Raises RecipeError, DataError, ReleaseError.
    """
    plan = read_compare_recipe(recipe)
    torch.set_num_threads(plan.threads)
    for task, chosen in _chosen(plan, places.out, only):
        _Run(plan, task, places, report).make(chosen)
        show(plan, read_rows(plan, places.out))
    return read_rows(plan, places.out)


def _chosen(
    plan: CompareRecipe, out: Path, only: Sequence[str]
) -> list[tuple[ComparedTask, list[str]]]:
    """The rows to make, by task: those named, else those that are missing."""
    wanted: list[tuple[ComparedTask, list[str]]] = []
    unknown = set(only)
    for task in plan.task:
        called = {name: {task.name, name, f"{task.name}/{name}"} for name in names_of(task)}
        unknown -= set[str]().union(*called.values())
        chosen = [name for name, calls in called.items() if calls & set(only)]
        if not only:
            chosen = [name for name in called if not _file(out, task.name, name).is_file()]
        if chosen:
            wanted.append((task, chosen))
    if unknown:
        raise RecipeError(f"no task and no model is called {', '.join(sorted(unknown))}")
    return wanted


def read_rows(plan: CompareRecipe, out: Path) -> list[Row]:
    """The finished rows, in the order of the recipe."""
    files = [_file(out, task.name, name) for task in plan.task for name in names_of(task)]
    return [msgspec.json.decode(f.read_bytes(), type=Row) for f in files if f.is_file()]


def names_of(task: ComparedTask) -> list[str]:
    """The models of a task, in the order of its table."""
    fusions = ("feature-fusion", "model-sum", "model-weighted", "data-fusion")
    fused = fusions if len(task.suite.fuse) > 1 else ()
    return [MAJORITY, *([WORDS] if task.words else []), *task.suite.towers, *fused, RELEASED]


def title_of(name: str) -> str:
    """How a model is called in the tables."""
    return TITLES.get(name) or (FAMILY[name].title if name in FAMILY else FUSIONS[name])


class _Run:
    """One task: its posts, and its models as they are needed."""

    def __init__(
        self, plan: CompareRecipe, task: ComparedTask, places: Places, report: Report
    ) -> None:
        self.task, self.out, self.timed = task, places.out, plan.timed
        self.split = read_task(places.data, task, plan.seed, places.clean)
        self.suite = Suite(
            self.split,
            task.suite,
            places.out / task.name,
            lambda start: find_start(start, places.data, places.out),
            report,
        )
        self._release = places.release
        self._asks: dict[str, Ask] = {}

    def make(self, names: Sequence[str]) -> None:
        """Make these rows, then time every model of the task that has a row."""
        for name in names:
            _write(self.out, self._row(name))
        done = [n for n in names_of(self.task) if _file(self.out, self.task.name, n).is_file()]
        asks = {n: self._asks.get(n) or self._load(n) for n in done if n != MAJORITY}
        posts = self.split.test.take(np.arange(min(self.timed, len(self.split.test))))
        with torch.inference_mode():
            taken = milliseconds(asks, posts)
        for name, value in taken.items():
            file = _file(self.out, self.task.name, name)
            row = msgspec.json.decode(file.read_bytes(), type=Row)
            _write(self.out, msgspec.structs.replace(row, milliseconds=value))

    def _row(self, name: str) -> Row:
        split = self.split
        if name in TITLES:
            began = time.process_time()
            predicted, parameters = self._simple(name)
            return self._as_row(
                name=name,
                title=TITLES[name],
                predicted=[int(value) for value in predicted],
                parameters=parameters,
                rows=len(split.learn) if name == WORDS else 0,
                epochs=0,
                seconds=round(time.process_time() - began, 1),
            )
        result = self.suite.result(name)
        return self._as_row(**msgspec.structs.asdict(result))

    def _as_row(self, **fields: object) -> Row:
        test = self.split.test
        return msgspec.convert(
            {
                "task": self.task.name,
                "classes": list(test.classes),
                "actual": test.labels.tolist(),
                **fields,
            },
            Row,
        )

    def _simple(self, name: str) -> tuple[Indices, int]:
        test = self.split.test
        if name == MAJORITY:
            return majority(self.split.learn, test), 0
        if name == WORDS:
            words = LinearWords.learn(self.split.learn)
            self._asks[name] = words.predict
            return words.predict(test), words.parameters
        released = Released.load(self._release)
        self._asks[name] = lambda posts: released.predict(posts, self.task)
        return released.predict(test, self.task), released.parameters

    def _load(self, name: str) -> Ask:
        """The model of a row, to be timed."""
        if name in TITLES:
            self._simple(name)
            return self._asks[name]
        trained = self.suite.trained(name)
        trained.model.eval()
        return lambda posts: trained.model(self.suite.batch(trained, posts))


def _file(out: Path, task: str, name: str) -> Path:
    return out / task / "rows" / f"{name}.json"


def _write(out: Path, row: Row) -> None:
    file = _file(out, row.task, row.name)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(msgspec.json.encode(row))
