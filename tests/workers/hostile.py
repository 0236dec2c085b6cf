"""Records as others may write them: thirty kinds to get over, and their producers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from confluent_kafka import Producer as ConfluentProducer
from kafka import KafkaProducer, TopicPartition

from pipeline.batches import HeaderKey
from pipeline.client_repairs import keep_nulls
from pipeline.settings import Settings

RAW = "posts.raw.weathervane"
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
Fate = Literal["post", "letter", "either"]


@dataclass(frozen=True)
class Sent:
    """A record to send and what must become of it."""

    value: bytes | None
    key: bytes | None = b"k"
    headers: list[tuple[str, bytes | None]] = field(default_factory=list)
    timestamp: int | None = None
    codec: str = "none"
    fate: Fate = "letter"
    id: str = ""
    """Of the post, where it becomes one."""


def post(number: int | str, **fields: Any) -> Sent:
    """A good post."""
    name = f"weathervane:{number}"
    body = {"id": name, "created_at": "2026-03-01T12:00:00Z", "text": f"what a day {number}"}
    value = json.dumps(body | fields).encode()
    return Sent(value, key=name.encode(), fate="post", id=name)


def _with(good: Sent, **changes: Any) -> Sent:
    return Sent(**(good.__dict__ | changes))


def _page(number: object) -> Sent:
    status = {"idstr": str(number), "text": "今天真开心" * 60}
    page = json.dumps({"statuses": [status] * 3300}, ensure_ascii=False).encode()
    assert len(page) > 3_000_000
    return Sent(page, codec="gzip")


BIG = 700_000
KINDS: tuple[Callable[[object], Sent], ...] = (
    lambda n: Sent(b"{not json", headers=[("source", None)]),
    lambda n: _with(post(f"h{n}"), headers=[("source", None), ("ce_received", None)]),
    lambda n: Sent(b"[1, 2]", headers=[("a", b"1"), ("a", None), ("a", b"1")]),
    lambda n: _with(post(f"h{n}"), headers=[(HeaderKey(b"\xff\xfe"), b"x")]),
    lambda n: Sent(b"{", headers=[(HeaderKey(b"\xc3"), None), ("", b"")]),
    lambda n: Sent(None),
    lambda n: Sent(None, key=None),
    lambda n: Sent(None, key=None, headers=[("", None)]),
    lambda n: Sent(b"", key=b""),
    lambda n: _with(post(f"h{n}"), timestamp=0),
    lambda n: _with(post(f"h{n}"), timestamp=1_772_366_400_000_000_000),
    lambda n: Sent(b"null", timestamp=1),
    _page,
    lambda n: Sent(b"x" * 2_500_000, codec="snappy"),
    lambda n: Sent(b"{", key=b"k" * BIG, codec="lz4"),
    lambda n: Sent(b"{", headers=[(f"h{i}", b"v" * BIG) for i in range(4)], codec="zstd"),
    lambda n: _with(post(f"h{n}"), headers=[("h" * BIG, b"v" * BIG)], codec="gzip"),
    lambda n: _with(post(f"h{n}", text="so happy " * 250_000), codec="zstd", fate="letter"),
    lambda n: _with(post(f"h{n}"), codec="snappy"),
    lambda n: _with(post(f"h{n}"), codec="lz4"),
    lambda n: _with(post(f"h{n}"), codec="gzip"),
    lambda n: _with(post(f"h{n}"), codec="zstd"),
    lambda n: Sent(bytes(66 << 20), codec="gzip"),
    lambda n: Sent(b"[" * 100_000 + b"]" * 100_000, codec="gzip"),
    lambda n: Sent(b'{"id": "weathervane:\xff"}'),
    lambda n: Sent(b'{"id": 1e999, "created_at": 1e999, "text": 1e999}'),
    lambda n: _with(post(f"h{n}", created_at="9999-12-31T23:59:59-23:59"), fate="either"),
    lambda n: _with(post(f"h{n}"), headers=[("traceparent", b"\xff" * 9000)]),
    lambda n: Sent(
        b"{",
        headers=[("__connect.errors.offset", None), ("__connect.errors.cut", b"\xff" * 5000)],
    ),
    lambda n: _with(post(f"h{n}"), headers=[("ce_received", b"9" * 5000)] * 50),
)
"""One function a kind, given a number that no other record of the kind has."""


class Senders:
    """One producer a codec, and where each record went."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._open: dict[str, KafkaProducer] = {}
        self._plain = ConfluentProducer({"bootstrap.servers": settings.kafka, "linger.ms": 20})
        self.places: dict[tuple[TopicPartition, int], Sent] = {}
        self._futures: list[tuple[Any, Sent]] = []
        self.refused: list[str] = []

    def send(self, sent: Sent, topic: str = RAW) -> None:
        """Send a record; a good one with others in its batch, an odd one alone."""
        if sent.fate == "post" and sent.codec == "none" and not sent.headers:
            self._plain.produce(
                topic, sent.value, sent.key, on_delivery=lambda e, m: self._delivered(e, m, sent)
            )
            self._plain.poll(0)
            return
        sink = self._open.get(sent.codec) or self._opened(sent.codec)
        future = sink.send(
            topic,
            value=sent.value,
            key=sent.key,
            headers=list(sent.headers),
            timestamp_ms=sent.timestamp,
        )
        self._futures.append((future, sent))
        if sent.codec != "none":
            # A batch of its own: else one that is refused would take others with it.
            sink.flush(60)

    def flush(self) -> None:
        """Until the broker has answered for all of them."""
        assert self._plain.flush(120) == 0
        for sink in self._open.values():
            sink.flush(120)
        for future, sent in self._futures:
            if future.failed():
                self.refused.append(f"{sent!r:.80}: {future.exception!r}")
                continue
            done = future.get(60)
            self.places[TopicPartition(done.topic, done.partition), done.offset] = sent
        self._futures.clear()

    def close(self) -> None:
        """Close all."""
        for sink in self._open.values():
            sink.close()

    def _opened(self, codec: str) -> KafkaProducer:
        # It keeps to none of our limits.
        made = KafkaProducer(
            **self._settings.kafka_options(),
            compression_type=None if codec == "none" else codec,
            max_request_size=100_000_000,
            batch_size=100_000,
        )
        keep_nulls(made)
        self._open[codec] = made
        return made

    def _delivered(self, error: Any, message: Any, sent: Sent) -> None:
        if error is not None:
            self.refused.append(f"{sent!r:.80}: {error}")
            return
        place = TopicPartition(message.topic(), message.partition())
        self.places[place, message.offset()] = sent


@contextmanager
def senders(settings: Settings) -> Iterator[Senders]:
    """Producers for the time of the block."""
    made = Senders(settings)
    try:
        yield made
    finally:
        made.close()
