"""Files of JSON records: one a line, one after another over several lines, or one array of them.

Under gzip or not; UTF-8, with its mark or without, or UTF-16 with its mark. A record is given
as its bytes stand in the file wherever that is possible: what is wrong in it is ingest's to say.
"""

from __future__ import annotations

import codecs
import gzip
import io
import json
import sys
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

import msgspec

from pipeline.errors import UNDECODABLE, SettingsError, Unreadable
from pipeline.platforms.mending import mended

GZIP = b"\x1f\x8b"
OTHERS = {
    b"PAR1": "Parquet",
    b"PK\x03\x04": "ZIP",
    b"BZh": "bzip2",
    b"\x28\xb5\x2f\xfd": "Zstandard",
}
WIDE = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
LOOKED_AT = 50
"""Lines after the first that show whether a file has a record a line, where that one is none."""
WHOLE_BYTES = 1_000_000_000
"""Largest file that is read as a whole, which an array and records over several lines are."""

_object = msgspec.json.Decoder(dict[str, msgspec.Raw])

Record = tuple[str, bytes]
"""Where it stands, and its bytes."""


def read_records(file: Path) -> Iterator[Record]:
    """The records of a file; `-` is standard input.

    Raises:
        SettingsError: the file cannot be read, or holds something else than JSON records.
    """
    try:
        with _opened(file) as lines:
            yield from _records(file, lines)
    except OSError as error:
        raise SettingsError(f"{file} cannot be read: {error.strerror or error}") from error
    except (EOFError, zlib.error) as error:
        raise SettingsError(f"{file} is damaged: {error}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{file} is no UTF-16 text: {error.reason}") from error


def count_records(file: Path) -> int:
    """How many records a file holds; all are looked at.

    Raises:
        SettingsError: as `read_records`, or most of the lines are no JSON objects. A few of them
            among records are for ingest to refuse.
    """
    seen = _Lines()
    for where, line in read_records(file):
        seen.take(where.removeprefix(f"{file} "), line)
    seen.refuse_most(file)
    return seen.count


@dataclass(slots=True)
class _Lines:
    """How many lines there are, how many of them are no objects, and the first of those."""

    count: int = 0
    bad: int = 0
    first: str = ""

    @classmethod
    def of(cls, lines: Iterable[tuple[int, bytes]]) -> _Lines:
        made = cls()
        for number, line in lines:
            made.take(f"line {number}", line)
        return made

    def take(self, where: str, line: bytes) -> None:
        self.count += 1
        if not _is_object(line):
            self.bad += 1
            self.first = self.first or f"{where} is {_shown(line)}"

    def refuse_most(self, file: Path, which: str = "") -> None:
        """Raises SettingsError where most are no objects."""
        if self.bad == self.count:
            raise SettingsError(f"{file} holds no JSON records: {self.first}")
        if 2 * self.bad > self.count:
            raise SettingsError(
                f"{file} is no file of JSON records: {self.first}, and {self.bad:,} of its "
                f"{which}{self.count:,} lines are no objects; nothing of it was sent"
            )


def _is_object(line: bytes) -> bool:
    """Whether ingest would read a line as an object."""
    try:
        _object.decode(line)
    except UNDECODABLE:
        try:
            return isinstance(mended(line), dict)
        except Unreadable:
            return False
    return True


def _records(file: Path, lines: Iterator[bytes]) -> Iterator[Record]:
    numbered = ((number, line) for number, line in enumerate(lines, 1) if line.strip())
    first = list(islice(numbered, 1))
    if not first:
        raise SettingsError(f"{file} is empty: there is nothing to send")
    # A line that is a record decides it, so that what comes through a pipe goes on as it comes.
    if not _is_record(first[0][1]):
        first += islice(numbered, LOOKED_AT)
        if _is_spread(first):
            yield from _values(file, _text(file, chain(first, numbered)))
            return
        _Lines.of(first).refuse_most(file, "first ")
    for number, line in chain(first, numbered):
        yield f"{file} line {number}", line.strip()


def _is_spread(first: Sequence[tuple[int, bytes]]) -> bool:
    """Whether these lines are of one array, or of records over several lines."""
    start = first[0][1].strip()
    if start.startswith(b"[") or _is_record(start.rstrip(b",")):
        return True
    return start.startswith(b"{") and not any(_is_record(line) for _, line in first)


def _is_record(line: bytes) -> bool:
    """Whether a line is an object as JSON Lines have it, at its very beginning."""
    if not line.startswith(b"{"):
        return False
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _text(file: Path, lines: Iterable[tuple[int, bytes]]) -> str:
    taken, size = [], 0
    for _, line in lines:
        size += len(line)
        if size > WHOLE_BYTES:
            raise SettingsError(
                f"{file} is more than {WHOLE_BYTES:,} bytes of JSON over several lines: "
                "write one record a line"
            )
        taken.append(line)
    try:
        return b"".join(taken).decode()
    except UnicodeDecodeError as error:
        raise SettingsError(f"{file} is no UTF-8 text: {error.reason}") from error


def _values(file: Path, text: str) -> Iterator[Record]:
    """One value after another, arrays by their elements, each on one line."""
    decoder, place, number = json.JSONDecoder(), 0, 0
    while place < len(text):
        try:
            value, end = decoder.raw_decode(text, place)
        except (ValueError, RecursionError) as error:
            raise SettingsError(
                f"{file} is no JSON after {number} records: {error}; write one record a line"
            ) from error
        for one in value if isinstance(value, list) else [value]:
            number += 1
            if not isinstance(one, dict):
                raise SettingsError(f"{file}: element {number} is no JSON object: {_shown(one)}")
            yield f"{file} record {number}", _one_line(one)
        place = end
        while place < len(text) and text[place] in " \t\r\n,":
            place += 1
    if not number:
        raise SettingsError(f"{file} holds no records: there is nothing to send")


def _one_line(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=True, separators=(",", ":")).encode()


@contextmanager
def _opened(file: Path) -> Iterator[Iterator[bytes]]:
    """The lines of a file, out of its compression, in UTF-8 without a mark."""
    with _source(file) as raw:
        start = raw.peek(4)[:4]
        other = next((name for mark, name in OTHERS.items() if start.startswith(mark)), None)
        if other:
            raise SettingsError(f"{file} is {other}: send reads JSON, plain or under gzip")
        if start.startswith(GZIP):
            with gzip.open(raw) as plain:
                yield _lines(plain)
        else:
            yield _lines(raw)


@contextmanager
def _source(file: Path) -> Iterator[io.BufferedReader]:
    if str(file) == "-":
        yield sys.stdin.buffer  # type: ignore[misc]
        return
    with file.open("rb") as raw:
        yield raw


def _lines(raw: io.BufferedReader | gzip.GzipFile) -> Iterator[bytes]:
    start = raw.peek(3)[:3]
    if start[:2] in WIDE:
        text = io.TextIOWrapper(raw, encoding="utf-16", newline="\n")
        for line in text:
            yield line.encode("utf-8", "surrogatepass")
        return
    if start == codecs.BOM_UTF8:
        raw.read(len(codecs.BOM_UTF8))
    yield from raw


def _shown(value: object) -> str:
    text = value.decode(errors="replace").strip() if isinstance(value, bytes) else repr(value)
    return repr(text if len(text) <= 40 else f"{text[:39]}…")
