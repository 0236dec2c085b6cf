"""Interleaved rounds, medians of processor seconds, one table and one JSON file a benchmark."""

from __future__ import annotations

import json
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

ROUNDS = 5
RESULTS = Path("benchmarks/results")


@dataclass(frozen=True, slots=True)
class Result:
    """The median cost of one candidate."""

    name: str
    seconds: float
    """Processor seconds of one round, this process."""
    items: int

    @property
    def per_second(self) -> float:
        """Items a processor second."""
        return self.items / self.seconds


def compare(
    candidates: dict[str, Callable[[], int]],
    rounds: int = ROUNDS,
    clock: Callable[[], float] = time.process_time,
) -> list[Result]:
    """Run the candidates A/B/A/B …; each answers how many items it handled.

    The first round warms up and is not counted. `clock`: processor seconds of this process,
    unless what counts is the waiting for another one.
    """
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    items: dict[str, int] = {}
    for number in range(rounds + 1):
        for name, run in candidates.items():
            started = clock()
            items[name] = run()
            if number:
                seconds[name].append(clock() - started)
    return [Result(name, statistics.median(seconds[name]), items[name]) for name in candidates]


def report(benchmark: str, unit: str, results: list[Result], ours: str) -> None:
    """Print the table, with ours as a multiple of each peer, and write the JSON file."""
    mine = next(result for result in results if result.name == ours)
    capability = torch.backends.cpu.get_cpu_capability()
    title = f"{benchmark} - {platform.machine()} {capability}, Python {platform.python_version()}"
    table = Table("", f"{unit} a CPU second", f"{ours} is", title=title)
    rows = []
    for result in results:
        ratio = mine.per_second / result.per_second
        table.add_row(result.name, f"{result.per_second:,.0f}", f"{ratio:.2f} x")
        rows.append({"name": result.name, "per_second": result.per_second, "ratio": ratio})
    Console().print(table)
    RESULTS.mkdir(parents=True, exist_ok=True)
    about = {"benchmark": benchmark, "unit": unit, "capability": capability, "rows": rows}
    (RESULTS / f"{benchmark}.json").write_text(json.dumps(about, indent=1) + "\n")
