"""Run the detector and its peers over the corpus and print the scores beside published ones."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from benchmarks.nab.corpus import Series, default_folder, read_corpus
from benchmarks.nab.methods import METHODS
from benchmarks.nab.scoring import (
    PROFILES,
    best_threshold,
    count_rows,
    normalise,
    raw_score,
)
from pipeline.spikes import THRESHOLD, Detector

Floats = npt.NDArray[np.float64]
Hours = npt.NDArray[np.int64]
RESULTS = Path("benchmarks/results")
STANDARD = PROFILES["standard"]


def main(folder: Path | None = None) -> None:
    """Print the table and write the JSON file; say so where the corpus is absent."""
    folder = folder or default_folder()
    if not (folder / "data").is_dir():
        print(
            f"nab: skipped, there is no corpus in {folder}; clone numenta/NAB and give its folder: "
            "python -m benchmarks.nab FOLDER"
        )
        return
    corpus = read_corpus(folder)
    values, hours = stack(corpus)
    ours = detect(values, hours)
    table = {"weathervane, shipped threshold": points(corpus, ours, THRESHOLD)}
    scores = {"weathervane": ours}
    scores |= {name: method(values, hours) for name, method in METHODS.items()}
    for name, found in scores.items():
        threshold, _ = fit(corpus, found)
        table[f"{name}, best threshold"] = points(corpus, found, threshold)
    table["weathervane, threshold of the other files"] = left_out(corpus, ours)
    table |= published(corpus, folder)
    report(corpus, ours, table)


def stack(corpus: Sequence[Series]) -> tuple[Floats, Hours]:
    """Values and hours of the week, `(ticks, files)`, NaN beyond the end of a file."""
    longest = max(len(series.values) for series in corpus)
    values = np.full((longest, len(corpus)), np.nan)
    hours = np.zeros(values.shape, dtype=np.int64)
    for column, series in enumerate(corpus):
        moments = [datetime.fromisoformat(time) for time in series.times]
        values[: len(moments), column] = series.values
        hours[: len(moments), column] = [at.weekday() * 24 + at.hour for at in moments]
    return values, hours


def detect(values: Floats, hours: Hours) -> Floats:
    """The scores of the detector as shipped, `(ticks, files)`."""
    detector = Detector(values.shape[1])
    pairs = zip(hours, values, strict=True)
    return np.array([detector.step(hour, row).score for hour, row in pairs])


def fit(corpus: Sequence[Series], scores: Floats) -> tuple[float, float]:
    """The best threshold over all files, chosen on their labels, and its raw score."""
    columns = [scores[: len(series.values), at] for at, series in enumerate(corpus)]
    return best_threshold([series.labels for series in corpus], columns, STANDARD)


def raw_by_file(corpus: Sequence[Series], scores: Floats, threshold: float) -> list[float]:
    """The raw score of each file at one threshold."""
    return [
        raw_score(series.labels, scores[: len(series.values), at], threshold, STANDARD)
        for at, series in enumerate(corpus)
    ]


def points(corpus: Sequence[Series], scores: Floats, threshold: float) -> dict[str, float]:
    """Normalised scores of each folder and of all files at one threshold."""
    return by_folder(corpus, raw_by_file(corpus, scores, threshold))


def by_folder(corpus: Sequence[Series], raw: Sequence[float]) -> dict[str, float]:
    """Normalised scores of each folder and of all files, from raw scores a file."""
    names = [*dict.fromkeys(series.folder for series in corpus), "all"]
    cells: dict[str, list[tuple[float, int]]] = {name: [] for name in names}
    for series, score in zip(corpus, raw, strict=True):
        for name in (series.folder, "all"):
            cells[name].append((score, len(series.labels.windows)))
    return {
        name: normalise(sum(s for s, _ in cell), sum(w for _, w in cell), STANDARD)
        for name, cell in cells.items()
    }


def left_out(corpus: Sequence[Series], scores: Floats) -> dict[str, float]:
    """Each file at the best threshold of all other files."""
    raw = []
    for at, series in enumerate(corpus):
        others = [other for other in range(len(corpus)) if other != at]
        threshold, _ = fit([corpus[other] for other in others], scores[:, others])
        own = scores[: len(series.values), at]
        raw.append(raw_score(series.labels, own, threshold, STANDARD))
    return by_folder(corpus, raw)


def published(corpus: Sequence[Series], folder: Path) -> dict[str, dict[str, float]]:
    """The published scores of other detectors on these files, at their corpus-wide threshold."""
    table = {}
    for path in sorted((folder / "results").glob("*_standard_scores.csv")):
        with path.open(newline="") as lines:
            rows = {row["File"]: float(row["Score"]) for row in csv.DictReader(lines)}
        if all(series.name in rows for series in corpus):
            name = path.name.removesuffix("_standard_scores.csv")
            table[f"{name}, published"] = by_folder(corpus, [rows[s.name] for s in corpus])
    return dict(sorted(table.items(), key=lambda entry: -entry[1]["all"]))


def report(corpus: Sequence[Series], scores: Floats, table: dict[str, dict[str, float]]) -> None:
    """Print the table and what the detector did in each file, and write both as JSON."""
    folders = list(next(iter(table.values())))
    shown = Table("", *folders, title="NAB, standard profile, 0 = silent, 100 = perfect")
    for name, row in table.items():
        shown.add_row(name, *(f"{row[folder]:.1f}" for folder in folders))
    Console().print(shown)
    files = {}
    for at, series in enumerate(corpus):
        own = scores[: len(series.values), at]
        counts = count_rows(series.labels, own, THRESHOLD)
        found = [own[left : right + 1].max() >= THRESHOLD for left, right in series.labels.windows]
        files[series.name] = {
            "windows": len(found),
            "found": int(sum(found)),
            "false_rows": counts.false_positive,
            "raw": raw_score(series.labels, own, THRESHOLD, STANDARD),
        }
    windows, hit, false = (
        sum(int(file[key]) for file in files.values()) for key in ("windows", "found", "false_rows")
    )
    print(f"at the shipped threshold: {hit} of {windows} windows, {false} false rows")
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "nab.json").write_text(
        json.dumps({"scores": table, "files": files}, indent=2) + "\n"
    )
