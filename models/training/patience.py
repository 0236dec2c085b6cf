"""Early stopping: the loss on held-out rows after each epoch decides when a stage ends.

Beside the checkpoint lie `held.csv`, the loss of each epoch, and `best.safetensors`, the averaged
weights of the best one; a killed run goes on from both.
"""

import math
from pathlib import Path

import torch
from safetensors.torch import load_file

from models.training.checkpoint import write_whole
from models.training.loop import Task, optimise
from models.training.progress import Report
from models.training.recipe import Fit


def optimise_patiently(
    task: Task, fit: Fit, folder: Path, *, stage: str, report: Report, held: Task
) -> bool:
    """As `optimise`, until `fit.patience` epochs in a row were no better than the best before.

    `held`: a task over the held-out rows with the module of `task`. Leaves the weights of the best
    epoch in it. The learning rate falls as if all epochs were run.
    """
    losses = _read(folder / "held.csv")
    ends = [len(task.batches(0))]
    for epoch in range(1, math.ceil(fit.epochs)):
        ends.append(ends[-1] + len(task.batches(epoch)))
    for epoch, end in enumerate(ends):
        if losses and len(losses) - 1 - losses.index(min(losses)) >= fit.patience:
            break
        if epoch < len(losses):
            continue
        optimise(task, fit, folder, stage=stage, report=report, steps=end)
        losses.append(held_loss(held))
        if losses[-1] == min(losses):
            write_whole(task.module.state_dict(), folder / "best.safetensors")
        _write(folder / "held.csv", losses)
    task.module.load_state_dict(load_file(folder / "best.safetensors"))
    task.module.eval()
    return True


@torch.no_grad()
def held_loss(held: Task) -> float:
    """Mean loss over the batches of the held-out rows, nothing dropped; randomness of its own
    (augmentation) is the same each time."""
    held.module.eval()
    values = [float(held.loss(batch, 0)) for batch in held.batches(0)]
    return sum(values) / len(values)


def _read(path: Path) -> list[float]:
    if not path.is_file():
        return []
    return [float(row.split(",")[1]) for row in path.read_text("utf-8").splitlines()[1:]]


def _write(path: Path, losses: list[float]) -> None:
    rows = [f"{epoch},{loss!r}" for epoch, loss in enumerate(losses, 1)]
    partial = path.with_suffix(".partial")
    partial.write_text("\n".join(["epoch,loss", *rows, ""]), encoding="utf-8")
    partial.replace(path)
