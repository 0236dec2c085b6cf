"""Printing a topic: its newest records, then what comes."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import msgspec
from kafka import KafkaConsumer, TopicPartition

from pipeline.clients import consumer
from pipeline.errors import UNDECODABLE, WeathervaneError
from pipeline.event import event_decoder
from pipeline.headers import header
from pipeline.reading import until_ends
from pipeline.records import ERROR_HEADERS, Record
from pipeline.settings import Settings
from pipeline.topics import SENTIMENT

NEWEST = 10
_SHOWN_CHARACTERS = 160


def follow(
    settings: Settings, topic: str, as_json: bool, limit: int | None, track: str | None
) -> None:
    """Print to stdout until `limit` records are printed, or until interrupted.

    Raises:
        WeathervaneError: there is no such topic.
    """
    with closing(consumer(settings, None)) as source:
        records = _records(source, topic, limit or NEWEST, track)
        for record in itertools.islice(records, limit):
            print(_json(record) if as_json else _line(record), flush=True)


def newest(settings: Settings, topic: str, limit: int) -> None:
    """Print the newest records that are there, as JSON, and return.

    Raises:
        WeathervaneError: there is no such topic.
    """
    with closing(consumer(settings, None)) as source:
        for record in _there(source, topic, limit, None):
            print(_json(record))


def _records(source: KafkaConsumer, topic: str, count: int, track: str | None) -> Iterator[Record]:
    """The newest records that are there, then those that come."""
    yield from _there(source, topic, count, track)
    while True:
        for batch in source.poll(timeout_ms=500).values():
            yield from (record for record in batch if _is_in(record, track))


def _there(source: KafkaConsumer, topic: str, count: int, track: str | None) -> list[Record]:
    numbers = source.partitions_for_topic(topic)
    if not numbers:
        known = ", ".join(sorted(name for name in source.topics() if not name.startswith("_")))
        raise WeathervaneError(f"there is no topic {topic}; there are: {known or 'none'}")
    partitions = [TopicPartition(topic, number) for number in sorted(numbers)]
    source.assign(partitions)
    ends, begins = source.end_offsets(partitions), source.beginning_offsets(partitions)
    for partition in partitions:
        # Every record may be followed by a transaction marker, which takes an offset too. With
        # a track, what matches may lie further back.
        back = count * 2 if track is None else ends[partition]
        source.seek(partition, max(begins[partition], ends[partition] - back))
    batches = until_ends(source, ends)
    there = [record for batch in batches for record in batch if _is_in(record, track)]
    there.sort(key=lambda record: record.timestamp)
    return there[-count:]


def _is_in(record: Record, track: str | None) -> bool:
    if track is None:
        return True
    try:
        value = msgspec.json.decode(record.value or b"")
    except UNDECODABLE:
        return False
    if not isinstance(value, dict):
        return False
    return track in (value.get("tracks") or ()) or track == value.get("track")


def _json(record: Record) -> str:
    """The value as it is; of a dead letter, an object that tells the reason and the value."""
    value = record.value or b""
    if not record.topic.endswith(".dlq"):
        return value.decode("utf-8", "replace")
    about: dict[str, Any] = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "key": _text(record.key),
        "reason": _text(header(record.headers, ERROR_HEADERS + "exception.message")),
        "headers": {name: _text(content) for name, content in record.headers},
        "value": _text(value),
    }
    return msgspec.json.encode(about).decode()


def _line(record: Record) -> str:
    if record.topic == SENTIMENT and record.value:
        event = event_decoder.decode(record.value)
        time = event.created_at.strftime("%Y-%m-%d %H:%M:%S")
        mark = " unread" if event.unread else " abstained" if event.abstained else ""
        return (
            f"{time}  {event.dominant or '-':<8} {event.sentiment:+.2f}  "
            f"{event.confidence:.2f}{mark}  {'+'.join(event.modalities) or '-'}  {event.id}"
        )
    reason = header(record.headers, ERROR_HEADERS + "exception.message")
    text = _text(reason) if reason is not None else _text(record.value)
    shown = (text or "").replace("\n", " ")
    if len(shown) > _SHOWN_CHARACTERS:
        shown = shown[: _SHOWN_CHARACTERS - 1] + "…"
    return f"{record.partition}@{record.offset}  {_text(record.key)}  {shown}"


def _text(data: bytes | None) -> str | None:
    """UTF-8 text, or base64 where the bytes are none."""
    if data is None:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return "base64:" + base64.b64encode(data).decode()
