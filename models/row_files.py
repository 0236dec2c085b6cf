"""Files of rows: Parquet, CSV and JSON Lines, the latter two also under gzip, some at a time."""

import csv
import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa
import pyarrow.parquet as pq

from models.column_types import wrong_type
from models.errors import DataError

Row = dict[str, Any]
PARQUET = b"PAR1"
CSV_NAMES = (".csv", ".tsv")
JSON_NAMES = (".jsonl", ".ndjson", ".json")
SUFFIXES = (".parquet", *(n + z for n in (*CSV_NAMES, *JSON_NAMES) for z in ("", ".gz")))
"""The names of files that are read, by their endings."""
_END = "\x1cend of the file\x1c"
"""Read as a line after the last, which shows whether a quote is open there."""
LONGEST_CELL = 1 << 27  # characters of a CSV cell: a picture in base64 is one
DAMAGED = (OSError, pa.ArrowException, EOFError, zlib.error, UnicodeDecodeError)


@dataclass(frozen=True, slots=True)
class RowFile:
    """An open file. `names`: all its columns; `columns`: ours that it has; `count`: its rows,
    None where only reading tells."""

    path: Path
    names: list[str]
    columns: list[str]
    count: int | None
    _read: Callable[[int], Iterator[list[Row]]]

    def chunks(self, size: int) -> Iterator[list[Row]]:
        """The rows by our names of the columns, at most `size` at a time.

        Raises DataError where the file is damaged further on.
        """
        try:
            yield from self._read(size)
        except DAMAGED as error:
            raise DataError(f"{self.path} cannot be read to its end: {_why(error)}") from error

    def rows(self) -> list[Row]:
        """All of them. Raises DataError."""
        return [row for chunk in self.chunks(1 << 16) for row in chunk]


def open_rows(path: Path, wanted: Sequence[str]) -> RowFile:
    """Open a file for the columns that are `wanted`, in whatever case their names are written.

    Raises DataError where it cannot be read, or a column holds what it cannot hold.
    """
    try:
        with path.open("rb") as file:
            start = file.read(len(PARQUET))
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    if not start:
        raise DataError(f"{path} is empty")
    name = path.name.lower().removesuffix(".gz")
    try:
        if start != PARQUET and name.endswith(CSV_NAMES):
            return _open_csv(path, wanted)
        if start != PARQUET and name.endswith(JSON_NAMES):
            return _open_json(path, wanted)
        return _open_parquet(path, wanted)
    except DAMAGED as error:
        what = "" if name.endswith((*CSV_NAMES, *JSON_NAMES)) else " as Parquet"
        raise DataError(f"{path} cannot be read{what}: {_why(error)}") from error


def to_rows(table: pa.Table | pa.RecordBatch) -> list[Row]:
    """The rows as dictionaries; text that is no UTF-8 as bytes."""
    columns = {name: _values(table.column(place)) for place, name in enumerate(table.schema.names)}
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values())]  # noqa: B905


def check_types(place: Path, schema: pa.Schema, columns: dict[str, str]) -> None:
    """Raises DataError, naming the first column whose type does not fit. `columns`: theirs, by
    our names."""
    for ours, theirs in columns.items():
        if wrong := wrong_type(ours, schema.field(theirs).type):
            raise DataError(f"{place}: the column {theirs} {wrong}")


def matched(path: Path, names: Sequence[str], wanted: Sequence[str]) -> dict[str, str]:
    """Their names by ours. Raises DataError where one stands twice."""
    found: dict[str, str] = {}
    for ours in wanted:
        exact = [name for name in names if name == ours]
        alike = exact or [name for name in names if name.strip().lower() == ours]
        if len(alike) > 1:
            raise DataError(f"{path} has more than one column {ours}")
        if alike:
            found[ours] = alike[0]
    return found


def _open_parquet(path: Path, wanted: Sequence[str]) -> RowFile:
    file = pq.ParquetFile(path)
    schema = file.schema_arrow
    columns = matched(path, schema.names, wanted)
    check_types(path, schema, columns)

    def read(size: int) -> Iterator[list[Row]]:
        if not columns:
            for left in range(file.metadata.num_rows, 0, -size):
                yield [{} for _ in range(min(size, left))]
            return
        theirs = {name: ours for ours, name in columns.items()}
        for batch in file.iter_batches(size, columns=list(theirs)):
            yield to_rows(batch.rename_columns([theirs[name] for name in batch.schema.names]))

    return RowFile(path, schema.names, list(columns), file.metadata.num_rows, read)


def _values(column: Any) -> list[Any]:
    try:
        values: list[Any] = column.to_pylist()
    except UnicodeDecodeError:
        values = column.cast(pa.large_binary()).to_pylist()
    return values


def _open_csv(path: Path, wanted: Sequence[str]) -> RowFile:
    csv.field_size_limit(LONGEST_CELL)
    with _text(path) as lines:
        head = lines.readline()
    mark = "\t" if "\t" in head else max(",;", key=head.count)
    names = next(csv.reader([head, _END], delimiter=mark), [])
    if names and names[-1].endswith(_END):
        raise DataError(f"{path} line 1: a quote is opened there and never closed")
    columns = matched(path, names, wanted)

    def read(size: int) -> Iterator[list[Row]]:
        with _text(path) as lines:
            reader = csv.reader(chain(lines, [_END]), delimiter=mark)
            next(reader, None)
            places = {ours: names.index(theirs) for ours, theirs in columns.items()}
            filled = (cells for cells in _cells(path, reader, len(names)) if cells)
            while some := list(islice(filled, size)):
                yield [{ours: row[at] or None for ours, at in places.items()} for row in some]

    return RowFile(path, names, list(columns), None, read)


def _cells(path: Path, reader: Any, width: int) -> Iterator[list[str]]:
    begin = reader.line_num + 1
    try:
        for cells in reader:
            if cells == [_END]:
                return
            if cells and cells[-1].endswith(_END):
                raise DataError(f"{path} line {begin}: a quote is opened there and never closed")
            if cells and len(cells) != width:
                raise DataError(
                    f"{path} line {begin} has {len(cells)} cells, its first line {width}"
                )
            yield cells
            begin = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{path} line {begin}: {error}") from error


def _open_json(path: Path, wanted: Sequence[str]) -> RowFile:
    names: dict[str, None] = {}
    for row in islice(_objects(path), 100):
        names |= dict.fromkeys(row)
    columns = matched(path, list(names), wanted)
    every = {name: name for name in wanted} | columns  # a name may come late

    def read(size: int) -> Iterator[list[Row]]:
        rows = _objects(path)
        while some := list(islice(rows, size)):
            yield [{ours: row.get(theirs) for ours, theirs in every.items()} for row in some]

    return RowFile(path, list(names), list(columns), None, read)


def _objects(path: Path) -> Iterator[Row]:
    """Of one object a line, or of one array over any number of lines."""
    with _text(path) as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            if line.lstrip().startswith("["):
                yield from _array(path, line + lines.read())
                return
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise DataError(f"{path} line {number} is no JSON: {error}") from error
            if not isinstance(row, dict):
                raise DataError(f"{path} line {number} is no JSON object")
            yield row


def _array(path: Path, text: str) -> Iterator[Row]:
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is no JSON array: {error}") from error
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise DataError(f"{path}: element {number} is no JSON object")
        yield row


@contextmanager
def _text(path: Path) -> Iterator[TextIO]:
    """The text of a file, through gzip where its name says so; UTF-8, or UTF-16 with its mark."""
    opened: Any = gzip.open if path.name.lower().endswith(".gz") else open
    with opened(path, "rb") as raw:
        marked = raw.peek(2)[:2] in (b"\xff\xfe", b"\xfe\xff")
        encoding = "utf-16" if marked else "utf-8-sig"
        with io.TextIOWrapper(raw, encoding=encoding, newline="") as text:
            yield text


def _why(error: BaseException) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8 text"
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(text).split())
