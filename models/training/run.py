"""A whole run: stages in order, each skipped when its result is already there.

OUT/text, OUT/image, OUT/audio   one folder a tower: `state` while it trains, `tower` after
OUT/release                      the release: weights, calibration, scores, card
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, TypeVar

import msgspec
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor, nn

from models.corpora import Rows
from models.device import available, settled_dtype
from models.preprocess.cleaning import Clean, Kind, plain
from models.release import AudioConfig
from models.towers.audio import AudioTower
from models.towers.audio import start_from as audio_start
from models.towers.image import ImageTower
from models.towers.image import start_from as image_start
from models.towers.text import TextTower
from models.training.assemble import train_fusion
from models.training.audio_stage import AudioTask
from models.training.checkpoint import write_whole
from models.training.data import having, plain_texts, split_train
from models.training.image_stage import ImageTask
from models.training.job import Job
from models.training.licences import refuse_narrower
from models.training.loop import Task, optimise
from models.training.masked_stage import MaskedTask
from models.training.patience import optimise_patiently
from models.training.progress import Report, print_scores, reporter
from models.training.recipe import (
    AudioRecipe,
    Corpus,
    Fit,
    Reading,
    Recipe,
    RecipeError,
    read_recipe,
)
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
    device: str = "auto",
    clean: Clean = plain,
) -> Path:
    """Train what `recipe` says on the corpora in `data`; return the release folder in `out`.

    With `resume` a run that was stopped goes on from its last checkpoint; without it a folder
    that already holds a run is refused. `stages` picks some of `STAGES`, so that towers can be
    trained by several processes; one that the recipe does not have is left out. Runs that teach the
    text tower or are averaged into it come first, where they are not done and their recipe lies
    beside this one or in `towers/` there. Without a
    `report` of the caller's, progress goes to stderr and the scores on dev to stdout. `device`:
    "cpu", "cuda", or "auto" for the latter where there is one, in bfloat16. Pictures and sounds go
    through `clean`.

    Raises RecipeError, DataError and ReleaseError.
    """
    from models.classic.textbook import is_textbook, run_textbook  # which need this package

    if is_textbook(recipe):
        return run_textbook(recipe, data, out, report, resume=resume, clean=clean)
    plan = read_recipe(recipe)
    if not resume and any((out / stage).exists() for stage in stages):
        raise RecipeError(f"{out} already holds a run: resume it, or name another folder")
    if "text" in stages:
        for name, before in _unfinished(plan, recipe, out):
            train(before, data, out.parent / name, True, report=report, device=device, clean=clean)
    torch.set_num_threads(plan.threads)
    if report is not None:
        return _run(Job(plan, data, out, available(device), StepLog(out, report), clean), stages)
    with reporter() as lines:
        job = Job(plan, data, out, available(device), StepLog(out, lines), clean)
        release = _run(job, stages)
    if "fusion" in stages:
        print_scores(json.loads((release / "scores.json").read_bytes()))
    return release


def _unfinished(plan: Recipe, recipe: Path, out: Path) -> Iterator[tuple[str, Path]]:
    """The runs that come before, by name, with the recipe of each, where there is one."""
    for name in plan.text.before:
        places = [folder / f"{name}.toml" for folder in (recipe.parent, recipe.parent / "towers")]
        found = [place for place in places if place.is_file() and name != plan.name]
        if found and not (out.parent / name / "release" / "manifest.json").is_file():
            yield name, found[0]


def _run(job: Job, stages: Sequence[str]) -> Path:
    trainers = dict(zip(STAGES, (train_text, train_image, train_audio, train_fusion), strict=True))
    for stage in stages:
        if getattr(job.plan, stage) is None:
            continue
        (job.out / stage).mkdir(parents=True, exist_ok=True)
        torch.manual_seed(job.plan.seed)
        if not (job.out / stage / "tower.safetensors").is_file():
            trainers[stage](job)
    return job.out / "release"


def train_text(job: Job) -> None:
    """Train the text tower into `text/tower.safetensors`."""
    plan, recipe = job.plan, job.plan.text
    if recipe.average:
        write_whole(mean_tower(job), job.out / "text" / "tower.safetensors")
        return
    start = job.start(recipe.start)
    tower = TextTower.start_from(start, recipe.layers)
    if recipe.tower:
        tower.load_state_dict(load_file(job.start(recipe.tower)))
    tower.to(job.device)
    half = settled_dtype(job.out, job.device) is torch.bfloat16
    tokenizer = Tokenizer.from_file(str(Path(start) / "tokenizer.json"))
    tokenizer.enable_truncation(recipe.max_tokens)
    tokenizer.no_padding()
    if recipe.reading:
        read_texts_first(job, tower, tokenizer, recipe.reading, half)
    rows, held = split_train(
        job.data,
        recipe.corpora,
        plan.dev,
        plan.held_out,
        plan.seed,
        auxiliary=recipe.auxiliary,
        clean=None,
    )
    lessons = learn(job, rows) if recipe.teachers else None
    task = TextTask(tower, tokenizer, rows, recipe, seed=plan.seed, half=half, lessons=lessons)
    judge = None
    if recipe.fit.patience:
        plain = msgspec.structs.replace(recipe, auxiliary=[])
        judge = TextTask(tower, tokenizer, held, plain, seed=plan.seed, half=half)
        judge.probe = judge.module = task.probe
    finish(job, task, tower, recipe.fit, judge, stage="text")


def mean_tower(job: Job) -> dict[str, Tensor]:
    """The mean of the text towers of other runs. Raises RecipeError where one is not finished."""
    runs = {name: job.out.parent / name for name in job.plan.text.average}
    paths = [run / "text" / "tower.safetensors" for run in runs.values()]
    for path in paths:
        if not path.is_file():
            raise RecipeError(f"{path} is missing: train that recipe first")
    for name, run in runs.items():
        refuse_narrower(job.plan, f"the run {name}", run / "release")
    towers = [load_file(path) for path in paths]
    shapes = [{name: value.shape for name, value in tower.items()} for tower in towers]
    if any(shape != shapes[0] for shape in shapes):
        raise RecipeError(f"{', '.join(job.plan.text.average)} have no towers of one shape")
    return {name: torch.stack([tower[name] for tower in towers]).mean(dim=0) for name in towers[0]}


def read_texts_first(
    job: Job, tower: TextTower, tokenizer: Tokenizer, recipe: Reading, half: bool
) -> None:
    """Guess masked tokens, with the result in `tower` and in `text/reading/tower.safetensors`."""
    folder = job.out / "text" / "reading"
    folder.mkdir(exist_ok=True)
    done = folder / "tower.safetensors"
    if not done.is_file():
        texts = plain_texts(job.data, recipe.corpora, job.plan.dev)
        task = MaskedTask(tower, tokenizer, texts, recipe, seed=job.plan.seed, half=half)
        optimise(task, recipe.fit, folder, stage="reading", report=job.report)
        write_whole(tower.state_dict(), done)
    tower.load_state_dict(load_file(done))
    torch.manual_seed(job.plan.seed)


def train_image(job: Job) -> None:
    """Train the image tower into `image/tower.safetensors`."""
    plan, recipe = job.plan, needed(job.plan.image, "image")
    tower = image_start(job.start(recipe.start)) if recipe.start else ImageTower()
    tower.to(job.device)
    rows, held = _with(job, recipe.corpora, "image")
    task = ImageTask(tower, rows, recipe, plan.seed)
    judge = None
    if recipe.fit.patience:
        judge = ImageTask(tower, held, recipe, plan.seed)
        judge.probe = judge.module = task.probe
    finish(job, task, tower, recipe.fit, judge, stage="image")


def train_audio(job: Job) -> None:
    """Train the audio tower into `audio/tower.safetensors`."""
    plan, recipe = job.plan, needed(job.plan.audio, "audio")
    config = audio_config(recipe)
    tower = audio_start(job.start(recipe.start), config) if recipe.start else AudioTower(config)
    tower.to(job.device)
    rows, held = _with(job, recipe.corpora, "audio")
    half = settled_dtype(job.out, job.device) is torch.bfloat16
    task = AudioTask(tower, rows, recipe.frames_per_batch, plan.seed, half)
    judge = None
    if recipe.fit.patience:
        judge = AudioTask(tower, held, recipe.frames_per_batch, plan.seed, half)
        judge.probe = judge.module = task.probe
    finish(job, task, tower, recipe.fit, judge, stage="audio")


def _with(job: Job, corpora: Sequence[Corpus], kind: Kind) -> tuple[Rows, Rows]:
    """The rows with a picture, or with a sound, to learn from and held out."""
    plan, names = job.plan, ", ".join(corpus.name for corpus in corpora)
    rows, held = split_train(job.data, corpora, plan.dev, plan.held_out, plan.seed, clean=job.clean)
    return having(rows, kind, of=names), having(held, kind)


def needed(section: Section | None, name: str) -> Section:
    """The section of the recipe. Raises RecipeError where it has none."""
    if section is None:
        raise RecipeError(f"the recipe has no section [{name}]")
    return section


def audio_config(recipe: AudioRecipe) -> AudioConfig:
    """The shape that the recipe asks for."""
    return AudioConfig(recipe.width, recipe.heads, recipe.ffn, recipe.layers)


def finish(
    job: Job, task: Task, tower: nn.Module, fit: Fit, judge: Task | None, *, stage: str
) -> None:
    """Run the loop to its end, or to where `judge` says so, and write the averaged weights."""
    folder = job.out / stage
    if judge is not None:
        done = optimise_patiently(task, fit, folder, stage=stage, report=job.report, held=judge)
    else:
        done = optimise(task, fit, folder, stage=stage, report=job.report)
    if done:
        write_whole(tower.state_dict(), folder / "tower.safetensors")
