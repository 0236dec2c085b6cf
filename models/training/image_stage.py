"""Stage two: the image tower on faces and on pictures of posts."""

from typing import Any

import numpy as np
from torch import Tensor, nn

from models.corpora import Rows
from models.towers.image import ImageTower
from models.training.loop import Indices
from models.training.losses import masked_loss
from models.training.pictures import Ahead, Pictures
from models.training.probe import Probe
from models.training.recipe import Fit, ImageRecipe

EXCLUSIVE = 0.5


class ImageTask:
    """Fine-tunes all but the stem and the first blocks, which see edges and colours and cost most
    of a step, in float32 (the bfloat16 backward of depthwise convolutions is slower)."""

    def __init__(self, tower: ImageTower, rows: Rows, recipe: ImageRecipe, seed: int) -> None:
        self.tower = tower
        tower.learns_statistics = recipe.statistics == "learnt"
        self.device = next(tower.parameters()).device
        self.probe = Probe(tower, tower.dim).to(self.device)
        self.module: nn.Module = self.probe
        self.rows = rows
        self._recipe = recipe
        self._per_batch = recipe.rows_per_batch
        steps = round(recipe.fit.epochs * max(1, len(rows) // self._per_batch))
        small_steps = round(steps * recipe.small_share)
        self._pictures = Pictures(rows.images, recipe.size, recipe.small, small_steps, seed)
        self._ahead = Ahead(self._pictures, self.batches) if self.device.type == "cuda" else None
        self._seed = seed
        first = [tower.stem, *tower.blocks[: max(0, recipe.frozen)]] if recipe.frozen >= 0 else []
        for part in first:
            part.requires_grad_(False)

    def groups(self, fit: Fit) -> list[dict[str, Any]]:
        """The tower, and its head at a rate of its own."""
        tower = [p for p in self.tower.parameters() if p.requires_grad]
        return [
            {"params": list(self.probe.head.parameters()), "lr": fit.head_rate},
            {"params": tower, "lr": fit.rate},
        ]

    def batches(self, epoch: int) -> list[Indices]:
        """Every row once, in random order; a last short batch is left out."""
        order = np.random.default_rng([self._seed, epoch]).permutation(len(self.rows))
        count = max(1, len(order) // self._per_batch)
        return [order[i * self._per_batch : (i + 1) * self._per_batch] for i in range(count)]

    def loss(self, batch: Indices, step: int) -> Tensor:
        """Mean over the batch, each picture varied anew."""
        if self._ahead is not None and self.module.training:
            pixels = self._ahead.take(step)
        else:
            pixels = self._pictures[step, batch]
        emotions, polarity = self.probe.logits(self.tower.encode(list(pixels)).pooled)
        return masked_loss(emotions, polarity, self.rows.take(batch), EXCLUSIVE).mean()
