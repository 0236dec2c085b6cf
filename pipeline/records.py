"""What stages produce: an outgoing record, and the dead letter of an incoming one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from pipeline.headers import Headers
from pipeline.topics import dead_letter_topic

ERROR_HEADERS = "__connect.errors."
"""Prefix of the headers that say why a dead letter is one."""
_MAX_REASON_CHARACTERS = 1000


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
    brought from an earlier failure are replaced, so that redriving does not grow the headers.
    """
    kept = [(key, value) for key, value in record.headers if not key.startswith(ERROR_HEADERS)]
    reason = str(error)[:_MAX_REASON_CHARACTERS]
    about = {
        "topic": record.topic,
        "partition": str(record.partition),
        "offset": str(record.offset),
        "exception.class.name": type(error).__name__,
        "exception.message": reason,
    }
    errors = [
        (ERROR_HEADERS + name, value.encode("utf-8", "replace")) for name, value in about.items()
    ]
    return Outgoing(dead_letter_topic(record.topic), record.key, record.value, kept + errors)
