"""A whole run: stages in order, each skipped when its result is already there.

OUT/text, OUT/image, OUT/audio   one folder a tower: `state` while it trains, `tower` after
OUT/release                      the release: weights, calibration, scores, card
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final, TypeVar

import msgspec
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import nn

from models.device import settled_dtype
from models.release import AudioConfig
from models.towers.audio import AudioTower
from models.towers.audio import start_from as audio_start
from models.towers.image import ImageTower
from models.towers.image import start_from as image_start
from models.towers.text import TextTower
from models.training.assemble import train_fusion
from models.training.audio_stage import AudioTask
from models.training.checkpoint import write_whole
from models.training.data import split_train
from models.training.image_stage import ImageTask
from models.training.loop import Task, optimise
from models.training.patience import optimise_patiently
from models.training.progress import Report, print_scores, reporter
from models.training.recipe import AudioRecipe, Fit, Recipe, RecipeError, find_start, read_recipe
from models.training.steplog import StepLog
from models.training.teachers import learn
from models.training.text_stage import TextTask

STAGES: Final = ("text", "image", "audio", "fusion")
Section = TypeVar("Section")


def train(
    recipe: Path,
    data: Path,
    out: Path,
    resume: bool = False,
    *,
    stages: Sequence[str] = STAGES,
    report: Report | None = None,
) -> Path:
    """Train what `recipe` says on the corpora in `data`; return the release folder in `out`.

    With `resume` a run that was stopped goes on from its last checkpoint; without it a folder
    that already holds a run is refused. `stages` picks some of `STAGES`, so that towers can be
    trained by several processes; one that the recipe does not have is left out. Without a
    `report` of the caller's, progress goes to stderr and the scores on dev to stdout.

    Raises RecipeError, DataError and ReleaseError.
    """
    from models.classic.textbook import is_textbook, run_textbook  # which need this package

    if is_textbook(recipe):
        return run_textbook(recipe, data, out, report, resume=resume)
    plan = read_recipe(recipe)
    if not resume and any((out / stage).exists() for stage in stages):
        raise RecipeError(f"{out} already holds a run: resume it, or name another folder")
    torch.set_num_threads(plan.threads)
    if report is not None:
        return _run(plan, data, out, stages, StepLog(out, report))
    with reporter() as lines:
        release = _run(plan, data, out, stages, StepLog(out, lines))
    if "fusion" in stages:
        print_scores(json.loads((release / "scores.json").read_bytes()))
    return release


def _run(plan: Recipe, data: Path, out: Path, stages: Sequence[str], report: Report) -> Path:
    trainers = dict(zip(STAGES, (train_text, train_image, train_audio, train_fusion), strict=True))
    for stage in stages:
        if getattr(plan, stage) is None:
            continue
        (out / stage).mkdir(parents=True, exist_ok=True)
        torch.manual_seed(plan.seed)
        if not (out / stage / "tower.safetensors").is_file():
            trainers[stage](plan, data, out, report)
    return out / "release"


def train_text(plan: Recipe, data: Path, out: Path, report: Report) -> None:
    """Train the text tower into `out/text/tower.safetensors`."""
    start = find_start(plan.text.start, data, out)
    tower = TextTower.start_from(start, plan.text.layers)
    if plan.text.tower:
        tower.load_state_dict(load_file(find_start(plan.text.tower, data, out)))
    tokenizer = Tokenizer.from_file(str(Path(start) / "tokenizer.json"))
    tokenizer.enable_truncation(plan.text.max_tokens)
    tokenizer.no_padding()
    recipe = plan.text
    rows, held = split_train(
        data,
        recipe.corpora,
        plan.dev,
        plan.held_out,
        plan.seed,
        auxiliary=recipe.auxiliary,
    )
    half = settled_dtype(out) is torch.bfloat16
    lessons = learn(plan, rows, out, report) if recipe.teachers else None
    task = TextTask(tower, tokenizer, rows, recipe, seed=plan.seed, half=half, lessons=lessons)
    judge = None
    if recipe.fit.patience:
        plain = msgspec.structs.replace(recipe, auxiliary=[])
        judge = TextTask(tower, tokenizer, held, plain, seed=plan.seed, half=half)
        judge.probe = judge.module = task.probe
    finish(task, tower, recipe.fit, judge, stage="text", out=out, report=report)


def train_image(plan: Recipe, data: Path, out: Path, report: Report) -> None:
    """Train the image tower into `out/image/tower.safetensors`."""
    recipe = needed(plan.image, "image")
    tower = image_start(find_start(recipe.start, data, out)) if recipe.start else ImageTower()
    rows, held = split_train(data, recipe.corpora, plan.dev, plan.held_out, plan.seed)
    task = ImageTask(tower, rows, recipe, plan.seed)
    judge = None
    if recipe.fit.patience:
        judge = ImageTask(tower, held, recipe, plan.seed)
        judge.probe = judge.module = task.probe
    finish(task, tower, recipe.fit, judge, stage="image", out=out, report=report)


def train_audio(plan: Recipe, data: Path, out: Path, report: Report) -> None:
    """Train the audio tower into `out/audio/tower.safetensors`."""
    recipe = needed(plan.audio, "audio")
    config = audio_config(recipe)
    tower = (
        audio_start(find_start(recipe.start, data, out), config)
        if recipe.start
        else AudioTower(config)
    )
    rows, held = split_train(data, recipe.corpora, plan.dev, plan.held_out, plan.seed)
    half = settled_dtype(out) is torch.bfloat16
    task = AudioTask(tower, rows, recipe.frames_per_batch, plan.seed, half)
    judge = None
    if recipe.fit.patience:
        judge = AudioTask(tower, held, recipe.frames_per_batch, plan.seed, half)
        judge.probe = judge.module = task.probe
    finish(task, tower, recipe.fit, judge, stage="audio", out=out, report=report)


def needed(section: Section | None, name: str) -> Section:
    """The section of the recipe. Raises RecipeError where it has none."""
    if section is None:
        raise RecipeError(f"the recipe has no section [{name}]")
    return section


def audio_config(recipe: AudioRecipe) -> AudioConfig:
    """The shape that the recipe asks for."""
    return AudioConfig(recipe.width, recipe.heads, recipe.ffn, recipe.layers)


def finish(
    task: Task,
    tower: nn.Module,
    fit: Fit,
    judge: Task | None,
    *,
    stage: str,
    out: Path,
    report: Report,
) -> None:
    """Run the loop to its end, or to where `judge` says so, and write the averaged weights."""
    if judge is not None:
        done = optimise_patiently(task, fit, out / stage, stage=stage, report=report, held=judge)
    else:
        done = optimise(task, fit, out / stage, stage=stage, report=report)
    if done:
        write_whole(tower.state_dict(), out / stage / "tower.safetensors")
