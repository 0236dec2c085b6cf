"""The losses of a run, and what it cost, as CSV beside each stage's checkpoint.

OUT/<stage>/log.csv, a row every few seconds and one at the end of the stage:

step, steps     how far; a run that goes on from a checkpoint repeats the steps that were lost
loss            running mean
seconds         wall clock since the stage began, times of earlier runs included
cpu_seconds     of the processor, of all threads, likewise; the features of the fusion included
"""

import csv
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from models.training.progress import Report

COLUMNS: Final = ("step", "steps", "loss", "seconds", "cpu_seconds")
EVERY: Final = 5.0  # seconds between rows


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one stage, in seconds."""

    wall: float
    cpu: float


class StepLog:
    """A Report that writes the rows and passes everything on."""

    def __init__(self, out: Path, report: Report) -> None:
        self._out = out
        self._report = report
        self._began = Cost(time.monotonic(), time.process_time())
        self._before: dict[str, Cost] = {}
        self._written = 0.0

    def __call__(self, stage: str, step: int, steps: int, loss: float) -> None:
        if (self._out / stage).is_dir():  # others, such as "features", are parts of the next stage
            self._write(stage, step, steps, loss)
        self._report(stage, step, steps, loss)

    def _write(self, stage: str, step: int, steps: int, loss: float) -> None:
        path = self._out / stage / "log.csv"
        if stage not in self._before:
            self._before[stage] = _last(path)
        elif time.monotonic() - self._written < EVERY and step < steps:
            return
        before = self._before[stage]
        wall = before.wall + time.monotonic() - self._began.wall
        cpu = before.cpu + time.process_time() - self._began.cpu
        new = not path.exists()
        with path.open("a", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            if new:
                rows.writerow(COLUMNS)
            rows.writerow((step, steps, f"{loss:.5f}", f"{wall:.1f}", f"{cpu:.1f}"))
        self._written = time.monotonic()
        if step == steps:
            self._began = Cost(time.monotonic(), time.process_time())


def costs(out: Path) -> dict[str, Cost]:
    """What each logged stage of a run has cost."""
    return {path.parent.name: _last(path) for path in sorted(out.glob("*/log.csv"))}


def _last(path: Path) -> Cost:
    """The sums of the last whole row; a kill may have cut one short."""
    if not path.is_file():
        return Cost(0.0, 0.0)
    with path.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["cpu_seconds"]]
    return Cost(float(rows[-1]["seconds"]), float(rows[-1]["cpu_seconds"])) if rows else Cost(0, 0)
