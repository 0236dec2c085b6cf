"""The textbook's training loop: Adam over shuffled batches, the rate rising, then falling."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from models.classic.balance import Loss
from models.classic.fusion import Model
from models.classic.posts import Indices

HEAD_RATE = 1e-3
WARMUP = 0.05  # share of the steps
CLIP = 1.0  # norm of the gradient
Bools = npt.NDArray[np.bool_]
Logits = Callable[[Indices, np.random.Generator], Tensor]  # of these posts, varied at random


@dataclass(frozen=True, slots=True)
class Pace:
    """How long and in which steps a model learns."""

    epochs: int
    batch: int
    seed: int


def parameter_groups(model: Model, tower_rate: float) -> list[dict[str, Any]]:
    """What is to be learnt below the head at `tower_rate`, the head at its own rate."""
    head = {id(parameter) for parameter in model.head.parameters()}
    towers = [p for p in model.parameters() if p.requires_grad and id(p) not in head]
    heads = [p for p in model.head.parameters() if p.requires_grad]
    return [{"params": towers, "lr": tower_rate}, {"params": heads, "lr": HEAD_RATE}]


def fit(
    module: nn.Module,
    groups: Sequence[dict[str, Any]],
    logits: Logits,
    labels: Indices,
    pace: Pace,
    *,
    criterion: Loss,
    after_step: Callable[[int, int, float], None],
    after_epoch: Callable[[int, float], None],
) -> None:
    """Descend the loss of `logits` against `labels`; the module ends in evaluation mode.

    `after_step` is told the step, how many there are, and the loss; `after_epoch` the epoch from
    1 on and its mean loss. All chance follows from the seed.
    """
    optimiser = torch.optim.Adam([group for group in groups if group["params"]])
    peaks = [group["lr"] for group in optimiser.param_groups]
    trained = [p for group in optimiser.param_groups for p in group["params"]]
    random = np.random.default_rng(pace.seed)
    a_round = -(-len(labels) // pace.batch)
    steps, step = pace.epochs * a_round, 0
    for epoch in range(1, pace.epochs + 1):
        module.train()
        losses = []
        for chosen in np.array_split(random.permutation(len(labels)), a_round):
            for group, peak in zip(optimiser.param_groups, peaks, strict=True):
                group["lr"] = peak * _factor(step, steps)
            with sdpa_kernel(SDPBackend.MATH):  # its backward is the faster one for short texts
                found = logits(chosen, random).float()
                loss = criterion(found, torch.from_numpy(labels[chosen]))
                loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(trained, CLIP)
            optimiser.step()
            optimiser.zero_grad()
            step += 1
            losses.append(float(loss.detach()))
            after_step(step, steps, losses[-1])
        module.eval()
        after_epoch(epoch, float(np.mean(losses)))


def hide(present: Bools, share: float, random: np.random.Generator) -> Bools:
    """Hide a proper part of the modalities of `share` of the posts that have several.

    `present` `(posts, modalities)`, and out.
    """
    kept = present.copy()
    for row in np.flatnonzero(present.sum(axis=1) > 1):
        if random.random() < share:
            have = random.permutation(np.flatnonzero(present[row]))
            kept[row, have[: random.integers(1, len(have))]] = False
    return kept


def _factor(step: int, steps: int) -> float:
    """Linear from 0 to 1 over the warm-up, then linear to 0."""
    rise = max(1, round(steps * WARMUP))
    return (step + 1) / rise if step < rise else (steps - step) / max(1, steps - rise)
