"""The baseline image tower: one layer of 32 filters, the maximum of each cell, a dense layer.

LeCun et al. 1998, in the smallest form that textbooks start from. The one that starts from
ImageNet is `image.py`.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_max_pool2d, relu

from models.towers.base import TowerOutput

FILTERS = 32
GRID = 12  # cells a side: the dense layer is the same for pictures of every size


class ImageCnn(nn.Module):
    """Pixels in, one vector a picture out; its token states are the cells of the map."""

    def __init__(self, dim: int = 128) -> None:
        super().__init__()
        self.filters = nn.Conv2d(3, FILTERS, kernel_size=3, padding=1)
        self.dense = nn.Linear(FILTERS * GRID * GRID, dim)
        self.dropout = nn.Dropout(0.3)
        self.dim = dim

    def encode(self, batch: Sequence[Tensor]) -> TowerOutput:
        """`batch`: uint8 pixels `(size, size, 3)` a picture, all of one size."""
        x = (torch.stack(list(batch)).permute(0, 3, 1, 2).float() - 127.0) / 128.0
        maps = adaptive_max_pool2d(relu(self.filters(x)), GRID)  # (batch, 32, 12, 12)
        pooled = relu(self.dense(self.dropout(maps.flatten(1))))  # (batch, dim)
        cells = maps.flatten(2).transpose(1, 2)  # (batch, 144, 32)
        return TowerOutput(pooled, cells.flatten(0, 1), [GRID * GRID] * len(batch))
