"""The recurrent image tower: a GRU reads the picture step by step, then maximum and dense.

After ReNet (Visin et al. 2015, arXiv:1505.00393), in one direction. A step is a row of pixels or
a square patch; the patches follow each other as words on a page do.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import pixel_unshuffle, relu

from models.towers.base import TowerOutput

PATCH = 8  # pixels


class ImageRnn(nn.Module):
    """Pixels in, one vector a picture out; a token state is what was read up to that step."""

    def __init__(
        self,
        size: int,
        *,
        steps: Literal["rows", "patches"] = "rows",
        hidden: int = 128,
        dim: int = 128,
    ) -> None:
        """`size`: side of the pictures in pixels, a multiple of 8 where `steps` are patches."""
        super().__init__()
        self.size, self.steps, self.dim = size, steps, dim
        self.gru = nn.GRU(3 * (size if steps == "rows" else PATCH * PATCH), hidden)
        self.dense = nn.Linear(hidden, dim)

    def encode(self, batch: Sequence[Tensor]) -> TowerOutput:
        """`batch`: uint8 pixels `(size, size, 3)` a picture."""
        x = (torch.stack(list(batch)).float() - 127.0) / 128.0  # (batch, size, size, 3)
        if self.steps == "rows":
            steps = x.flatten(2)  # (batch, size, 3 * size)
        else:
            patches = pixel_unshuffle(x.permute(0, 3, 1, 2), PATCH)  # (batch, 192, y, x)
            steps = patches.flatten(2).transpose(1, 2)  # (batch, y * x, 192)
        states = self.gru(steps.transpose(0, 1))[0].transpose(0, 1)  # (batch, steps, hidden)
        pooled = relu(self.dense(states.amax(dim=1)))  # (batch, dim)
        return TowerOutput(pooled, states.flatten(0, 1), [states.shape[1]] * len(batch))
