"""Score a series in a CSV file with the detector that the monitor runs."""

from __future__ import annotations

import csv
import math
import shutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import numpy as np

from pipeline.errors import WeathervaneError
from pipeline.spikes import Detector
from workers.series_file import Row, Shape, read_rows, read_shape

HEADER = ["timestamp", "value"]
"""Of a file that has none."""
FOUND = ["score", "anomaly", "direction"]
BACKWARDS = 0.1
"""The share of rows older than one before them up to which a clock was put back now and then; with
more of them the rows are not in the order of time."""


def detect_csv(source: Path, out: Path) -> None:
    """Write the rows of `source` to `out` with `score`, `anomaly` and `direction`.

    Row n is judged by rows up to n, in the order of the file, and memory does not grow with it;
    where time runs backwards there, the rows are judged in the order of time and stay where they
    stand. A row without a value is not judged. `out` is complete or untouched.

    Raises:
        WeathervaneError: naming the line of a row that cannot be read, or the file, also where no
            row has a value.
    """
    if out.is_dir():
        raise WeathervaneError(f"{out} is a folder; name the file to write")
    if source.exists() and not source.is_file() and not source.is_dir():
        _detect_pipe(source, out)
        return
    partial = out.with_name(f".{out.name}.partial")
    try:
        shape = read_shape(source)
        rows = _judged(source, shape)
        with partial.open("w", newline="", encoding="utf-8") as results:
            writer = csv.writer(results, delimiter=shape.mark, lineterminator="\n")
            writer.writerow([*(shape.header or HEADER), *FOUND])
            _write(writer, rows, source)
        partial.replace(out)
    except OSError as error:
        raise WeathervaneError(f"{error.filename}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise WeathervaneError(f"{source} is not UTF-8 text: {error.reason}") from error
    finally:
        partial.unlink(missing_ok=True)


def _write(writer: Any, rows: Iterable[list[str]], source: Path) -> None:
    judged = found = 0
    for row in rows:
        writer.writerow(row)
        judged += row[-3] != ""
        found += row[-2] == "1"
    if not judged:
        raise WeathervaneError(f"{source} has no row with a value: there is nothing to judge")
    if not found:
        print(f"no anomaly was found among {judged:,} values", file=sys.stderr)


def _detect_pipe(source: Path, out: Path) -> None:
    """What can be read once only is kept in a file first: it is read three times."""
    with source.open("rb") as raw, NamedTemporaryFile(suffix=".csv") as kept:
        shutil.copyfileobj(raw, kept)
        kept.flush()
        detect_csv(Path(kept.name), out)


def _judged(source: Path, shape: Shape) -> Iterator[list[str]]:
    if not _runs_backwards(read_rows(source, shape)):
        return scored(read_rows(source, shape))
    print(f"{source} is not in the order of time: judged in that order", file=sys.stderr)
    rows = list(read_rows(source, shape))
    order = sorted(range(len(rows)), key=lambda place: rows[place].moment)
    found = dict(zip(order, scored(rows[place] for place in order), strict=True))
    return (found[place] for place in range(len(rows)))


def _runs_backwards(rows: Iterable[Row]) -> bool:
    late = count = 0
    newest = -math.inf
    for row in rows:
        count += 1
        late += row.moment < newest
        newest = max(newest, row.moment)
    return late > BACKWARDS * count


def scored(rows: Iterable[Row]) -> Iterator[list[str]]:
    """The texts of each row with its score, 0-1, 1 for an anomaly or 0, and its direction."""
    detector = Detector(1)
    for row in rows:
        signals = detector.step(np.array([row.hour]), np.array([row.value]))
        if np.isnan(row.value):
            yield [*row.texts, "", "", ""]
            continue
        anomaly = bool(signals.anomaly[0])
        direction = "up" if signals.deviation[0] >= 0 else "down"
        yield [
            *row.texts,
            f"{signals.score[0]:.6f}",
            str(int(anomaly)),
            direction if anomaly else "",
        ]
