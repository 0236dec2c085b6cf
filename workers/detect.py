"""Score a series in a CSV file with the detector that the monitor runs."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from pipeline.errors import WeathervaneError
from pipeline.spikes import Detector

HEADER = ["timestamp", "value"]


@dataclass(frozen=True)
class Row:
    """One row: its texts as they stand in the file, and what they mean."""

    texts: list[str]
    hour: int
    """Hour of the week, 0 = Monday 00:00, on the clock that the file uses."""
    value: float


def detect_csv(source: Path, out: Path) -> None:
    """Write the rows of `source` (`timestamp,value`) to `out` with `score` and `anomaly`.

    Row n is judged by rows up to n, in the order of the file; memory does not grow with it. `out`
    is complete or untouched.

    Raises:
        WeathervaneError: naming the line of a row that cannot be read, or the file.
    """
    partial = out.with_name(f".{out.name}.partial")
    try:
        with (
            source.open(newline="", encoding="utf-8-sig") as lines,
            partial.open("w", newline="", encoding="utf-8") as results,
        ):
            writer = csv.writer(results, lineterminator="\n")
            writer.writerow([*HEADER, "score", "anomaly"])
            writer.writerows(scored(read_rows(lines, source)))
        partial.replace(out)
    except OSError as error:
        raise WeathervaneError(f"{error.filename}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise WeathervaneError(f"{source} is not UTF-8 text: {error.reason}") from error
    finally:
        partial.unlink(missing_ok=True)


def scored(rows: Iterable[Row]) -> Iterator[list[str]]:
    """The texts of each row with its score, 0-1, and 1 for an anomaly or 0."""
    detector = Detector(1)
    for row in rows:
        signals = detector.step(np.array([row.hour]), np.array([row.value]))
        yield [*row.texts, f"{signals.score[0]:.6f}", str(int(signals.anomaly[0]))]


def read_rows(lines: Iterable[str], source: Path) -> Iterator[Row]:
    """Read rows under the header; blank lines are passed over."""
    reader = csv.reader(lines)
    try:
        if next(reader, None) != HEADER:
            raise WeathervaneError(f"{source} line 1: expected the header {','.join(HEADER)}")
        for texts in reader:
            if texts:
                yield read_row(texts, f"{source} line {reader.line_num}")
    except csv.Error as error:
        raise WeathervaneError(f"{source} line {reader.line_num}: {error}") from error


def read_row(texts: list[str], where: str) -> Row:
    """Read one row; `where` names it in the error."""
    if len(texts) != len(HEADER):
        raise WeathervaneError(f"{where}: expected 2 columns, found {len(texts)}")
    time, number = texts
    try:
        moment = datetime.fromisoformat(time.strip())
    except ValueError as error:
        raise WeathervaneError(
            f"{where}: {time!r} is not a time; expected one like 2026-01-31 12:00:00"
        ) from error
    try:
        value = float(number)
    except ValueError as error:
        raise WeathervaneError(f"{where}: {number!r} is not a number") from error
    if not math.isfinite(value):
        raise WeathervaneError(f"{where}: {number!r} is not a finite number")
    return Row(texts, moment.weekday() * 24 + moment.hour, value)
