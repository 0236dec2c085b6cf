"""What every stage of a run is given."""

from dataclasses import dataclass
from pathlib import Path

import torch

from models.preprocess.cleaning import Clean, plain
from models.training.progress import Report
from models.training.recipe import Recipe, find_start


@dataclass(frozen=True, slots=True)
class Job:
    """A recipe, the folder of corpora, the folder of the run, where to compute, whom to tell
    of each step, and what pictures and sounds go through."""

    plan: Recipe
    data: Path
    out: Path
    device: torch.device
    report: Report
    clean: Clean = plain

    def start(self, name: str) -> str:
        """Where a starting checkpoint of the recipe lies. Raises RecipeError."""
        return find_start(name, self.data, self.out)
