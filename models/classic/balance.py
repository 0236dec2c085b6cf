"""Losses for classes of unequal size, all of `(batch, classes)` logits and `(batch,)` labels.

`none`: cross-entropy. `weights`: each class weighs the inverse of its share. `focal`: what is
learnt already weighs less (Lin et al. 2017). `adjusted`: the shares of the classes are added to the
logits while learning, so that the model answers as if all were equally frequent (logit adjustment,
Menon et al. 2021).
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from models.classic.posts import Indices

Balance = Literal["none", "weights", "focal", "adjusted"]
Loss = Callable[[Tensor, Tensor], Tensor]
FOCUS = 2.0  # gamma of the focal loss


def loss_of(balance: Balance, labels: Indices, classes: int) -> Loss:
    """The loss for posts of which `labels` are learnt, places in `classes`."""
    counts = torch.bincount(torch.from_numpy(labels), minlength=classes).float()
    shares = (counts / counts.sum()).clamp_min(1e-6)
    if balance == "weights":
        present = counts > 0
        weights = torch.where(present, 1.0 / (shares * present.sum()), 0.0)
        return lambda logits, wanted: cross_entropy(logits, wanted, weight=weights)
    if balance == "focal":
        return _focal
    if balance == "adjusted":
        return lambda logits, wanted: cross_entropy(logits + shares.log(), wanted)
    return cross_entropy


def _focal(logits: Tensor, wanted: Tensor) -> Tensor:
    each = cross_entropy(logits, wanted, reduction="none")
    return ((1.0 - (-each).exp()) ** FOCUS * each).mean()
