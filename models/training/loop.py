"""The optimisation loop that every stage shares: AdamW, warm-up, linear decay, averaged weights.

The order of batches and all randomness follow from the seed and the step alone, so that a run
resumed from a checkpoint ends in the same weights as one that was never stopped.
"""

import math
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from models.training import checkpoint
from models.training.progress import Report
from models.training.recipe import Fit

SAVE_EVERY = 180.0  # seconds
CLIP = 1.0  # norm of the gradient
Indices = npt.NDArray[np.int64]


class Task(Protocol):
    """What a stage brings: a module, its parameters with their rates, batches and a loss."""

    module: nn.Module

    def groups(self, fit: Fit) -> list[dict[str, Any]]:
        """Parameter groups of AdamW, each with its peak `lr`."""
        ...

    def batches(self, epoch: int) -> list[Indices]:
        """The batches of one epoch, the same whenever asked."""
        ...

    def loss(self, batch: Indices, step: int) -> Tensor:
        """The scalar to descend; randomness of its own must follow from `step`."""
        ...


def optimise(
    task: Task,
    fit: Fit,
    folder: Path,
    *,
    stage: str,
    report: Report,
    steps: int | None = None,
) -> bool:
    """Run or resume a stage and leave the averaged weights in `task.module`.

    Goes on from `folder/state.safetensors` where that exists. `steps` stops the run early with
    its state saved. Returns whether the stage is complete.
    """
    optimiser = torch.optim.AdamW(task.groups(fit), weight_decay=fit.weight_decay, fused=True)
    peaks = [group["lr"] for group in optimiser.param_groups]
    trained = [p for group in optimiser.param_groups for p in group["params"]]
    average = [parameter.detach().clone() for parameter in trained]
    order = _order(task, fit.epochs)
    state = folder / "state.safetensors"
    first = checkpoint.load(state, task.module, average, optimiser) if state.is_file() else 0
    last = len(order) if steps is None else min(len(order), steps)
    saved, running = time.monotonic(), float("nan")
    task.module.train()
    for step in range(first, last):
        factor = _schedule(step, len(order), fit.warmup)
        for place, (group, peak) in enumerate(zip(optimiser.param_groups, peaks, strict=True)):
            thawed = step >= fit.thaw * len(order) * place / len(peaks)
            group["lr"] = peak * factor * thawed
        with _short_segments(trained[0].device):
            loss = task.loss(order[step], step)
            loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(trained, CLIP)
        optimiser.step()
        optimiser.zero_grad()
        momentum = min(fit.average, (1 + step) / (10 + step))
        torch._foreach_lerp_(average, [p.detach() for p in trained], 1 - momentum)
        value = float(loss.detach())
        running = value if math.isnan(running) else 0.98 * running + 0.02 * value
        report(stage, step + 1, len(order), running)
        if time.monotonic() - saved > SAVE_EVERY or step + 1 == last:
            checkpoint.save(state, task.module, average, optimiser, step + 1)
            saved = time.monotonic()
    with torch.no_grad():
        for parameter, mean in zip(trained, average, strict=True):
            parameter.copy_(mean)
    task.module.eval()
    return last == len(order)


def _short_segments(device: torch.device) -> AbstractContextManager[Any]:
    """On a processor the plain attention, whose backward is the faster one for short segments."""
    return sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" else nullcontext()


def _order(task: Task, epochs: float) -> list[Indices]:
    """The batches of all epochs, the last of which may be begun only."""
    whole = math.ceil(epochs)
    batches = [batch for epoch in range(whole) for batch in task.batches(epoch)]
    return batches[: max(1, round(len(batches) * epochs / whole))]


def _schedule(step: int, steps: int, warmup: float) -> float:
    """Linear from 0 to 1 over the warm-up's share of the steps, then linear to 0."""
    rise = max(1, round(steps * warmup))
    return (step + 1) / rise if step < rise else (steps - step) / max(1, steps - rise)
