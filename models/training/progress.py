"""How a run tells where it stands: a bar on a terminal, a plain line now and then elsewhere."""

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

LINE_EVERY = 30.0  # seconds between plain lines


class Report(Protocol):
    """Called after every step of a stage with the running mean of the loss."""

    def __call__(self, stage: str, step: int, steps: int, loss: float) -> None: ...


def print_scores(scores: Mapping[str, Mapping[str, float]]) -> None:
    """One line a corpus on stdout."""
    for corpus, values in scores.items():
        shown = ", ".join(f"{name} {value:.3f}" for name, value in values.items() if name != "rows")
        print(f"{corpus} ({values['rows']:.0f} rows): {shown}")


def silent(stage: str, step: int, steps: int, loss: float) -> None:
    """Report nothing."""


@contextmanager
def reporter() -> Iterator[Report]:
    """A bar with the remaining time if stderr is a terminal, else lines on stderr."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines()
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
    )
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console) as bars:
        tasks: dict[str, TaskID] = {}

        def report(stage: str, step: int, steps: int, loss: float) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=steps)
            bars.update(tasks[stage], completed=step, description=f"{stage} loss {loss:.4f}")

        yield report


class _Lines:
    def __init__(self) -> None:
        self._begun: dict[str, tuple[float, int]] = {}
        self._last = 0.0

    def __call__(self, stage: str, step: int, steps: int, loss: float) -> None:
        now = time.monotonic()
        start, first = self._begun.setdefault(stage, (now, step))
        if now - self._last < LINE_EVERY and step < steps:
            return
        self._last = now
        left = (now - start) / max(1, step - first) * (steps - step)
        print(
            f"{stage}: step {step} of {steps}, loss {loss:.4f}, {left / 60:.1f} min left",
            file=sys.stderr,
            flush=True,
        )
