"""Reading the files of the Numenta Anomaly Benchmark from a folder."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.nab.scoring import Labelled, find_windows

BESIDE = Path("../shared/samples/nab")
"""Where the corpus is looked for when no folder is given, relative to the repository."""


@dataclass(frozen=True)
class Series:
    """One data file: its name (`folder/file.csv`), rows and labels."""

    name: str
    times: list[str]
    values: npt.NDArray[np.float64]
    labels: Labelled

    @property
    def folder(self) -> str:
        """The part of the corpus that the file belongs to."""
        return self.name.partition("/")[0]


def default_folder() -> Path:
    """The corpus beside the repository; it need not exist."""
    return Path(__file__).resolve().parents[2] / BESIDE


def read_corpus(folder: Path) -> list[Series]:
    """Read every labelled data file in `folder` (which holds `data/` and `labels/`), by name."""
    windows = json.loads((folder / "labels" / "combined_windows.json").read_text())
    return [
        read_series(folder, name, windows[name])
        for name in sorted(windows)
        if (folder / "data" / name).exists()
    ]


def read_series(folder: Path, name: str, windows: list[list[str]]) -> Series:
    """Read one data file with its windows."""
    with (folder / "data" / name).open(newline="") as lines:
        rows = [(row["timestamp"], float(row["value"])) for row in csv.DictReader(lines)]
    times = [time for time, _ in rows]
    values = np.array([value for _, value in rows])
    return Series(name, times, values, find_windows(times, windows))
