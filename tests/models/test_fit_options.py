"""Staged thawing and early stopping, on a line through points."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.training.loop import Indices, optimise
from models.training.patience import optimise_patiently
from models.training.progress import Report
from models.training.recipe import Fit
from models.training.steplog import StepLog, costs

STEPS = 8  # an epoch


class Line:
    """y = wx + b from 32 points; the bias stands for the head, the weight for what lies below."""

    def __init__(self, slope: float, linear: nn.Linear | None = None) -> None:
        torch.manual_seed(0)
        self.linear = linear or nn.Linear(1, 1)
        self.module: nn.Module = self.linear
        self.x = torch.linspace(-1, 1, 32)[:, None]
        self.y = slope * self.x + 1

    def groups(self, fit: Fit) -> list[dict[str, Any]]:
        return [
            {"params": [self.linear.bias], "lr": 0.1},
            {"params": [self.linear.weight], "lr": 0.1},
        ]

    def batches(self, epoch: int) -> list[Indices]:
        return np.array_split(np.random.default_rng(epoch).permutation(32), STEPS)

    def loss(self, batch: Indices, step: int) -> Tensor:
        guess: Tensor = self.linear(self.x[batch])
        return (guess - self.y[batch]).square().mean()


@pytest.fixture
def told() -> list[tuple[str, int]]:
    return []


@pytest.fixture
def report(told: list[tuple[str, int]]) -> Report:
    return lambda stage, step, steps, loss: told.append((stage, step))


def test_what_lies_below_thaws_later(tmp_path: Path, report: Report) -> None:
    line, fit = Line(2), Fit(epochs=2, thaw=1.0, weight_decay=0.1, average=0.0)
    before = line.linear.weight.item(), line.linear.bias.item()
    optimise(line, fit, tmp_path, stage="line", report=report, steps=STEPS)
    assert line.linear.weight.item() == before[0]
    assert line.linear.bias.item() != before[1]
    optimise(line, fit, tmp_path, stage="line", report=report)
    assert line.linear.weight.item() != before[0]


def test_a_stage_ends_when_the_held_out_loss_rises(
    tmp_path: Path, report: Report, told: list[tuple[str, int]]
) -> None:
    line = Line(2)
    held = Line(-2, line.linear)  # every step towards a slope of 2 is a step away from it
    fit = Fit(epochs=9, patience=2, average=0.0)
    assert optimise_patiently(line, fit, tmp_path, stage="line", report=report, held=held)
    losses = [float(row.split(",")[1]) for row in (tmp_path / "held.csv").read_text().split()[1:]]
    best = losses.index(min(losses))
    assert len(losses) == best + 3 < 9
    assert told[-1] == ("line", len(losses) * STEPS)
    kept = line.linear.weight.item()
    assert np.mean([held.loss(b, 0).item() for b in held.batches(0)]) == pytest.approx(losses[best])
    told.clear()
    optimise_patiently(line, fit, tmp_path, stage="line", report=report, held=held)
    assert told == []
    assert line.linear.weight.item() == kept


def test_losses_and_costs_are_logged_across_runs(tmp_path: Path, report: Report) -> None:
    (tmp_path / "line").mkdir()
    fit = Fit(epochs=1)
    half, log = STEPS // 2, StepLog(tmp_path, report)
    optimise(Line(2), fit, tmp_path / "line", stage="line", report=log, steps=half)
    first = costs(tmp_path)["line"]
    again = StepLog(tmp_path, report)
    again("features", 1, 2, float("nan"))
    optimise(Line(2), fit, tmp_path / "line", stage="line", report=again)
    rows = (tmp_path / "line" / "log.csv").read_text().split()
    assert rows[0] == "step,steps,loss,seconds,cpu_seconds"
    steps = [int(row.split(",")[0]) for row in rows[1:]]
    assert steps == sorted(steps)
    assert steps[-1] == STEPS
    assert costs(tmp_path)["line"].wall >= first.wall
    assert list(costs(tmp_path)) == ["line"]
