"""A whole run: stages in order, each skipped when its result is already there.

    OUT/text, OUT/image, OUT/audio   one folder a tower: `state` while it trains, `tower` after
    OUT/release                      the release: weights, calibration, scores, card
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch import nn

from models.device import fastest_dtype
from models.towers.text import TextTower
from models.training.data import split_train
from models.training.loop import Task, optimise
from models.training.progress import Report, silent
from models.training.recipe import Fit, Recipe, find_start, read_recipe
from models.training.text_stage import TextTask

STAGES: Final = ("text", "image", "audio", "fusion")


def train(
    recipe: Path,
    data: Path,
    out: Path,
    resume: bool = False,
    stages: Sequence[str] = STAGES,
    report: Report = silent,
) -> Path:
    """Train what `recipe` says on the corpora in `data`; return the release folder in `out`.

    With `resume` a run that was stopped goes on from its last checkpoint; without it a folder
    that already holds a run is refused. `stages` picks some of `STAGES`, so that towers can be
    trained by several processes. Raises RecipeError and ReleaseError.
    """
    plan = read_recipe(recipe)
    torch.set_num_threads(plan.threads)
    for stage in stages:
        folder = out / stage
        folder.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(plan.seed)
        if stage == "text":
            train_text(plan, data, out, report)
    return out / "release"


def train_text(plan: Recipe, data: Path, out: Path, report: Report) -> None:
    """Train the text tower into `out/text/tower.safetensors`."""
    start = find_start(plan.text.start, data, out)
    tower = TextTower.start_from(start, plan.text.layers)
    tokenizer = Tokenizer.from_file(str(Path(start) / "tokenizer.json"))
    tokenizer.enable_truncation(plan.text.max_tokens)
    tokenizer.no_padding()
    rows, _ = split_train(data, plan.text.corpora, plan.dev, plan.held_out, plan.seed)
    half = fastest_dtype() is torch.bfloat16
    task = TextTask(tower, tokenizer, rows, plan.text.tokens_per_batch, plan.seed, half)
    finish(task, tower, plan.text.fit, "text", out / "text", report)


def finish(
    task: Task, tower: nn.Module, fit: Fit, stage: str, folder: Path, report: Report
) -> None:
    """Run the loop to its end and write the tower's averaged weights."""
    if optimise(task, fit, stage, folder, report):
        weights = {name: value.contiguous() for name, value in tower.state_dict().items()}
        save_file(weights, folder / "tower.safetensors")
