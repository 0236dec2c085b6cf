"""What stages produce: an outgoing record, and the dead letter of an incoming one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

from pipeline.batches import Unread
from pipeline.errors import Unreadable
from pipeline.headers import Headers
from pipeline.topics import LETTER_BYTES, dead_letter_topic

ERROR_HEADERS = "__connect.errors."
"""Prefix of the headers that say why a dead letter is one."""
_MAX_REASON_CHARACTERS = 1000
_CUT = f"{ERROR_HEADERS}cut"
_EXCERPT_BYTES = 4000
"""Left of a value that is cut: enough to see what it was."""
_LONG_KEY_BYTES = 4000
_SHORT_BYTES = 150
"""Left of a reason where there is room for little more."""
_OVERHEAD = 400
"""Of a record and its batch, and of the header that says what was cut."""
_HEADER_OVERHEAD = 6


class Record(Protocol):
    """The part of a consumed record that stages use (kafka-python's `ConsumerRecord`)."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Headers: ...


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A record to produce."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers
    partition: int | None = None
    """Where it goes; None leaves that to the key."""


def dead_letter(record: Record, error: Exception) -> Outgoing:
    """The record with its own key, value and headers, and why it could not be used.

    The error headers are those of Kafka Connect's dead letters (KIP-298). Ones that the record
    brought from an earlier failure are replaced, so that redriving does not grow the headers. What
    is more than the topic takes is left out, see `fitted`.
    """
    kept = [(key, value) for key, value in record.headers if not key.startswith(ERROR_HEADERS)]
    headers: object = record.headers
    unread = headers if isinstance(headers, Unread) else None
    about = {
        "topic": record.topic,
        "partition": str(record.partition),
        "offset": str(record.offset if unread is None else unread.first),
        "exception.class.name": type(error).__name__,
        "exception.message": str(error)[:_MAX_REASON_CHARACTERS],
    }
    if unread is not None:
        about["last.offset"] = str(record.offset)
    # kafka-python hashes keys in Python: half a second for one of 700 kB.
    partition = 0 if len(record.key or b"") > _LONG_KEY_BYTES else None
    topic = dead_letter_topic(record.topic)
    letter = Outgoing(topic, record.key, record.value, kept + _errors(about), partition)
    return fitted(letter, LETTER_BYTES)


def is_unread(record: Record) -> bool:
    """Whether the record only stands for records that cannot be read."""
    return type(record.headers) is Unread


def unread_letter(record: Record) -> Outgoing:
    """The dead letter of records that cannot be read: their place, and why, and no value."""
    headers: object = record.headers
    if not isinstance(headers, Unread):
        raise TypeError("this record can be read")
    first, last = headers.first, record.offset
    which = f"the record at offset {first}" if first == last else f"offsets {first} to {last}"
    return dead_letter(record, Unreadable(f"{which} {headers.reason}"))


def fitted(letter: Outgoing, room: int) -> Outgoing:
    """The dead letter in no more than `room` bytes: its value cut, without its headers or its key.

    The error headers stay, the place of the original among them; `__connect.errors.cut` names what
    was left out and how many bytes it had.
    """
    room -= _OVERHEAD
    kept = [each for each in letter.headers if not each[0].startswith(ERROR_HEADERS)]
    errors = [each for each in letter.headers if each[0].startswith(ERROR_HEADERS)]
    if _size(errors) > room // 2:
        errors = [(name, _shortened(value)) for name, value in errors]
    sizes = {
        "value": len(letter.value or b""),
        "headers": _size(kept),
        "key": len(letter.key or b""),
    }
    room -= _size(errors)
    if sum(sizes.values()) <= room:
        return letter
    cut: list[str] = []
    for part, size in sorted(sizes.items(), key=lambda item: -item[1]):
        if sum(sizes.values()) > room:
            sizes[part] = min(size, max(0, min(_EXCERPT_BYTES, room // 2))) * (part == "value")
            cut.append(f"{part} ({size} bytes)")
    errors = [each for each in errors if each[0] != _CUT] + _errors({"cut": ", ".join(cut)})
    return replace(
        letter,
        key=letter.key if sizes["key"] else None,
        value=None if letter.value is None else letter.value[: sizes["value"]],
        headers=(kept if sizes["headers"] else []) + errors,
    )


def is_cut(letter: Record) -> bool:
    """Whether a dead letter is less than the record that it is about."""
    return isinstance(letter.headers, Unread) or any(
        name in (_CUT, ERROR_HEADERS + "last.offset") for name, _ in letter.headers
    )


def _errors(about: dict[str, str]) -> Headers:
    return [
        (ERROR_HEADERS + name, value.encode("utf-8", "replace")) for name, value in about.items()
    ]


def _shortened(value: bytes) -> bytes:
    return value[:_SHORT_BYTES].decode("utf-8", "ignore").encode()


def _size(headers: Headers) -> int:
    return sum(len(name.encode()) + len(value or b"") + _HEADER_OVERHEAD for name, value in headers)
