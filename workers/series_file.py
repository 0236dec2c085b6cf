"""A series in a CSV file: a column of times, one of values, and whatever stands beside them."""

from __future__ import annotations

import codecs
import csv
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pipeline.errors import WeathervaneError

TIMES = ("timestamp", "time", "datetime", "date", "ds", "ts", "day", "hour", "minute", "bucket")
VALUES = ("value", "count", "y", "values", "counts", "posts", "mentions", "total", "volume", "n")
"""Names of the columns, the likeliest first; small and capital letters are alike."""
MISSING = ("", "nan", "na", "n/a", "null", "none", "-")
"""What stands for no value."""
MARKS = "\t;,"
FORMATS = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d", "%Y-%m-%d %H")
"""Where ISO 8601 does not say it: numbers of one digit, and slashes for hyphens."""


@dataclass(frozen=True)
class Row:
    """One row: its texts as they stand in the file, and what they mean."""

    texts: list[str]
    hour: int
    """Hour of the week, 0 = Monday 00:00, on the clock that the file uses."""
    moment: float
    """Seconds since 1970; a time without a zone counts as UTC."""
    value: float
    """NaN where there is none."""


@dataclass(frozen=True)
class Shape:
    """How a file is written. `header`: None where its first line is a row."""

    encoding: str
    mark: str
    header: list[str] | None
    width: int
    time: int
    value: int


def read_shape(source: Path) -> Shape:
    """Look at the first line.

    Raises:
        WeathervaneError: it is no header with a time and a value, and no row either.
        OSError, UnicodeDecodeError: the file cannot be read.
    """
    with source.open("rb") as raw:
        wide = raw.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    encoding = "utf-16" if wide else "utf-8-sig"
    with source.open(newline="", encoding=encoding) as lines:
        line = next((line for line in lines if line.strip()), "")
    mark = max(MARKS, key=line.count)
    first = next(csv.reader([line], delimiter=mark), [])
    names = [name.strip().lower() for name in first]
    time, value = _place(names, TIMES), _place(names, VALUES)
    if time is not None and value is None and len(first) == 2:
        value = 1 - time
    if time is not None and value is not None and time != value:
        return Shape(encoding, mark, first, len(first), time, value)
    alone = Shape(encoding, mark, None, len(first), 0, 1)
    try:
        if len(first) == 2 and read_row(first, alone, "") is not None:
            return alone
    except WeathervaneError:
        pass
    raise WeathervaneError(
        f"{source} line 1: expected the header timestamp,value "
        f"(or {', '.join(TIMES[1:5])} and {', '.join(VALUES[1:3])}), found {line.strip()[:60]!r}"
    )


def read_rows(source: Path, shape: Shape) -> Iterator[Row]:
    """The rows under the header; blank lines are passed over.

    Raises:
        WeathervaneError: naming the line of a row that cannot be read.
        OSError, UnicodeDecodeError: the file cannot be read.
    """
    with source.open(newline="", encoding=shape.encoding) as lines:
        reader = csv.reader(lines, delimiter=shape.mark)
        headed = shape.header is not None
        try:
            for texts in reader:
                if not texts:
                    continue
                if headed:
                    headed = False
                    continue
                yield read_row(texts, shape, f"{source} line {reader.line_num}")
        except csv.Error as error:
            raise WeathervaneError(f"{source} line {reader.line_num}: {error}") from error


def read_row(texts: list[str], shape: Shape, where: str) -> Row:
    """Read one row; `where` names it in the error."""
    if len(texts) != shape.width:
        raise WeathervaneError(f"{where}: expected {shape.width} columns, found {len(texts)}")
    time, number = texts[shape.time], texts[shape.value]
    moment = _moment(time)
    if moment is None:
        raise WeathervaneError(
            f"{where}: {time!r} is not a time; expected one like 2026-01-31 12:00:00"
        )
    seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    hour = moment.weekday() * 24 + moment.hour
    return Row(texts, hour, seconds, _number(number, shape, where))


def _place(names: Sequence[str], wanted: Sequence[str]) -> int | None:
    return next((names.index(name) for name in wanted if name in names), None)


def _moment(text: str) -> datetime | None:
    stripped = text.strip()
    if stripped.isdecimal() and len(stripped) in (10, 13):
        return datetime.fromtimestamp(int(stripped) / (1 if len(stripped) == 10 else 1000), UTC)
    hyphens = stripped.replace("/", "-")
    ways: list[Callable[[str], datetime]] = [datetime.fromisoformat]
    ways += [lambda text, form=form: datetime.strptime(text, form) for form in FORMATS]  # type: ignore[misc]  # noqa: DTZ007
    for way in ways:
        try:
            return way(hyphens)
        except ValueError:
            continue
    return None


def _number(text: str, shape: Shape, where: str) -> float:
    stripped = text.strip()
    if stripped.lower() in MISSING:
        return math.nan
    if shape.mark == ";":
        stripped = stripped.replace(",", ".")  # where the comma is no mark it is the decimal point
    try:
        value = float(stripped)
    except ValueError as error:
        raise WeathervaneError(f"{where}: {text!r} is not a number") from error
    if not math.isfinite(value):
        raise WeathervaneError(f"{where}: {text!r} is not a finite number")
    return value
