"""The recipe of a comparison: tasks, and the towers and fusions that are trained on each."""

from pathlib import Path
from typing import Literal

import msgspec

from models.classic.plan import SuitePlan, check_plan
from models.training.recipe import Corpus, read_toml


class ComparedTask(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`corpus`: whose train split is learnt from, of several for composites: one a modality, in
    the order text, image, audio. `composites`: so many posts a class are joined for learning,
    and `dev_composites` to score. `dev_rows`: score so many dev rows, 0 for all."""

    name: str
    title: str
    corpus: list[Corpus]
    suite: SuitePlan
    label: Literal["emotion", "polarity"] = "emotion"
    modalities: list[Literal["text", "image", "audio"]] = []
    dev_rows: int = 0
    composites: int = 0
    dev_composites: int = 0
    held_out: float = 0.1
    words: bool = False


class CompareRecipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`timed`: posts a model is timed on."""

    kind: Literal["compare"]
    task: list[ComparedTask]
    seed: int = 7
    threads: int = 1
    timed: int = 30


def read_compare_recipe(path: Path) -> CompareRecipe:
    """Read and check a recipe. Raises RecipeError with the field at fault."""
    recipe = read_toml(path, CompareRecipe)
    for task in recipe.task:
        check_plan(task.suite, f"{path}, task {task.name}")
    return recipe
