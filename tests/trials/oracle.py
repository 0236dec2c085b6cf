"""The oracle: what a run must have counted, from Kafka's topics and Redis alone.

It uses no code of the system, only its documented names: the topics, the error headers of dead
letters, and the store's keys (`pipeline/keys.py`). It reads every topic from its beginning with
`read_committed` and says:

    lost     an id with fewer events in `sentiment` and notes in `shed` than raw records that were
             not dead-lettered;
    double   an id with more of them, or a raw record with more than one letter;
    wrong    a cell of the store (minute, hour, day or total, by track: all posts, those of each
             emotion and polarity with their weights, those of which nothing was read or that the
             model abstained from, and what was shed) that is not what `shed` and `sentiment` add up
             to when each id counts once, by its first event, its later versions as edited and
             every repeat of a version as a duplicate;
    swapped  an id whose versions stand in `sentiment` in another order than in its raw topic.

By itself: `python -m tests.trials.oracle KAFKA REDIS` prints the verdict as JSON and exits with 1
where it is not exact. Raw records are canonical posts: a record without an `id` goes by its key,
or else by its place.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import redis
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition

RAW = "posts.raw.weathervane"
LATENESS_MS = 600_000
"""The default of the setting `lateness_seconds`."""
FUTURE_MS = 300_000
"""A post dated further ahead of its event's arrival than this moves no watermark."""
_LEVELS = {"m": 60, "h": 3600, "d": 86_400}
_ORDER = ("negative", "neutral", "positive")
_COUNTERS = ("events", "duplicates", "edited", "late")
_FIELDS = {"n": "posts", "a": "abstained", "u": "unread"}
_ERROR = "__connect.errors."
_REDRIVE_GROUP = "redrive"
_SILENCE_SECONDS = 30
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Place = tuple[str, int, int]
"""Topic, partition, offset."""
Version = tuple[str, int, str | None]
"""Id, revision and time of the edit."""
Cells = Counter[tuple[str, ...]]
"""Amount by (level, track, start, kind), ("t", track, kind) and (counter,), where `kind` is
"emotion|polarity", "abstained", "unread" or "posts", their sum."""


@dataclass(frozen=True)
class Names:
    """Which topics and keys are read."""

    raw: tuple[str, ...] = (RAW,)
    posts: str = "posts"
    scored: str = "sentiment"
    shed: str = "shed"
    store: str = "wv"

    @property
    def letters(self) -> list[str]:
        """The dead-letter topics of ingest and infer."""
        return [f"{topic}.dlq" for topic in (*self.raw, self.posts)]


DEFAULT = Names()


@dataclass(frozen=True)
class Letter:
    """One dead letter; `live` as long as no redrive took it."""

    origin: Place
    identity: str
    reason: str
    live: bool


@dataclass
class Verdict:
    """What the oracle says of a run."""

    produced: int
    """Raw records."""
    scored: int
    """Distinct ids in `sentiment`."""
    duplicates: int
    """Further events of a version of an id."""
    edited: int
    """Events of further versions of an id."""
    shed: int
    """Notes in `shed`."""
    letters: dict[str, str]
    """Reason of each live letter, by the identity of its record."""
    lost: list[str] = field(default_factory=list)
    double: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    swapped: list[str] = field(default_factory=list)

    @property
    def exact(self) -> bool:
        """Whether nothing is lost, double, wrong or swapped."""
        return not (self.lost or self.double or self.wrong or self.swapped)

    def __str__(self) -> str:
        parts = [f"{self.produced} produced, {self.scored} scored, {self.duplicates} duplicates"]
        parts.append(f"{self.edited} edited, {self.shed} shed; {len(self.letters)} dead letters")
        for name in ("lost", "double", "wrong", "swapped"):
            found = getattr(self, name)
            parts.append(f"{len(found)} {name}" + (f", such as {found[:3]}" if found else ""))
        return "; ".join(parts)


def audit(kafka: str, store: str, names: Names = DEFAULT) -> Verdict:
    """Read everything there is and judge it.

    Raises:
        RuntimeError: a topic could not be read to its end.
    """
    messages = read(kafka, [*names.raw, names.scored, names.shed, *names.letters])
    by_topic: dict[str, list[Any]] = {}
    for message in messages:
        by_topic.setdefault(message.topic(), []).append(message)
    raw = {_place(m): _identity(m) for topic in names.raw for m in by_topic.get(topic, ())}
    events, notes = by_topic.get(names.scored, []), by_topic.get(names.shed, [])
    taken = _redriven(kafka, names.letters)
    letters = [_letter(m, taken) for topic in names.letters for m in by_topic.get(topic, ())]

    scored = Counter(_identity(message) for message in events)
    origins = {letter.origin: letter.identity for letter in letters}
    expected = Counter(identity for place, identity in raw.items() if place not in origins)
    # What a redrive sent back to `posts` has no live letter, and is expected again.
    live = {letter.origin for letter in letters if letter.live}
    expected.subtract(i for at, i in origins.items() if at[0] == names.posts and at in live)
    shed = Counter(_identity(message) for message in notes)
    found = scored + shed
    copies = Counter(letter.origin for letter in letters if letter.live)
    cells = recomputed(events)
    return Verdict(
        produced=len(raw),
        scored=len(scored),
        duplicates=cells["duplicates",],
        edited=cells["edited",],
        shed=shed.total(),
        letters={letter.identity: letter.reason for letter in letters if letter.live},
        lost=sorted((expected - found).elements()),
        double=sorted((found - expected).elements())
        + [f"letter of {place}" for place, count in copies.items() if count > 1],
        wrong=differences(cells + left_out(notes), stored(store, names.store)),
        swapped=_swapped(
            [m for topic in names.raw for m in by_topic.get(topic, ())],
            events,
            set(origins.values()),
        ),
    )


def recomputed(events: Iterable[Any]) -> Cells:
    """What the store must hold, by a plain walk over the messages of `sentiment`."""
    cells: Cells = Counter()
    seen: set[str] = set()
    versions: set[Version] = set()
    watermarks: Counter[int] = Counter()
    for message in events:
        event = json.loads(message.value())
        version = _version(event)
        new_version = version[1] > 0 and version not in versions
        versions.add(version)
        if event["id"] in seen:
            cells["edited" if new_version else "duplicates",] += 1
            continue
        seen.add(event["id"])
        cells["events",] += 1
        created = _epoch_ms(event["created_at"])
        partition = message.partition()
        cells["late",] += created < watermarks[partition] - LATENESS_MS
        if created <= message.timestamp()[1] + FUTURE_MS:
            watermarks[partition] = max(watermarks[partition], created)
        kind = kind_of(event)
        beside = round((event.get("weight", 1) - 1) * 100)
        for place in _places(event["tracks"], created):
            cells[(*place, "posts")] += 1
            cells[(*place, kind)] += 1
            cells[(*place, f"w:{kind}")] += beside
    return +cells


def kind_of(event: dict[str, Any]) -> str:
    """Where an event counts: each in one place."""
    if not event["modalities"] or event["dominant"] is None:
        return "unread"
    if event["abstained"]:
        return "abstained"
    return f"{event['dominant']}|{max(_ORDER, key=event['polarity'].__getitem__)}"


def left_out(notes: Iterable[Any]) -> Cells:
    """Likewise over the messages of `shed`."""
    cells: Cells = Counter()
    for message in notes:
        note = json.loads(message.value())
        cells["shed",] += 1
        for place in _places(note["tracks"], _epoch_ms(note["created_at"])):
            cells[(*place, "shed")] += 1
    return cells


def _places(tracks: Iterable[str], created_ms: int) -> Iterable[tuple[str, ...]]:
    """The total and the buckets of each track, as cells begin."""
    for track in tracks:
        yield "t", track
        for level, width in _LEVELS.items():
            yield level, track, str(created_ms // 1000 // width * width)


def _epoch_ms(text: str) -> int:
    return (datetime.fromisoformat(text) - _EPOCH) // timedelta(milliseconds=1)


def _swapped(raw: Iterable[Any], events: Iterable[Any], dead: Collection[str]) -> list[str]:
    """Ids whose records had one order and whose events have another.

    Only those whose records all stand in one partition, which alone has an order, and none of
    which was ever dead-lettered: a redrive puts a record behind others.
    """
    sent: dict[str, list[int]] = {}
    scored: dict[str, list[int]] = {}
    places: dict[str, set[int]] = {}
    for order, messages in ((scored, events), (sent, raw)):
        for message in messages:
            identity = _identity(message)
            # A raw record without an event may be one that cannot be read, its letter on the way.
            if identity not in dead and (order is scored or identity in scored):
                order.setdefault(identity, []).append(_version(json.loads(message.value()))[1])
                places.setdefault(identity, set()).add(message.partition() if order is sent else -1)
    return sorted(
        identity
        for identity, order in scored.items()
        if len(places[identity] - {-1}) == 1
        and sorted(sent[identity]) == sorted(order)
        and sent[identity] != order
    )


def _version(body: dict[str, Any]) -> Version:
    return body["id"], body.get("revision", 0), body.get("edited_at")


def stored(url: str, namespace: str) -> Cells:
    """The same cells as the store holds them, summed over its partitions."""
    cells: Cells = Counter()
    with closing(redis.Redis.from_url(url, socket_timeout=30, decode_responses=True)) as client:
        keys = []
        for key in client.scan_iter(f"{namespace}:{{p*}}:*", count=1000):
            _, _, kind, *rest = key.split(":")
            if kind in {"position", "shed", "t", *_LEVELS}:
                keys.append((key, kind, rest))
        pipe = client.pipeline(transaction=False)
        for key, _, _ in keys:
            pipe.hgetall(key)
        rows = pipe.execute()
    for (_, kind, rest), row in zip(keys, rows, strict=True):
        if kind == "position":
            cells.update({(name,): int(row.get(name, 0)) for name in _COUNTERS})
            continue
        if kind == "shed":
            cells["shed",] += int(row.get("posts", 0))
            continue
        where = ("t", rest[0]) if kind == "t" else (kind, rest[1], rest[0])
        for name, amount in row.items():
            if name in _FIELDS:
                cells[(*where, _FIELDS[name])] += int(amount)
            elif name.startswith("j:"):
                cells[(*where, name[2:])] += int(amount)
            elif name.startswith("w:") or name == "shed":
                cells[(*where, name)] += int(amount)
    return +cells


def differences(expected: Cells, found: Cells) -> list[str]:
    """One line a cell that is not the same."""
    return [
        f"{'/'.join(cell)}: {found[cell]} for {expected[cell]}"
        for cell in sorted(expected.keys() | found.keys())
        if expected[cell] != found[cell]
    ]


def read(kafka: str, topics: Sequence[str]) -> list[Any]:
    """All committed messages of the topics, each partition in its order.

    Raises:
        RuntimeError: a topic could not be read to its end.
    """
    consumer = Consumer(
        {
            "bootstrap.servers": kafka,
            "group.id": "oracle",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
        }
    )
    try:
        known = consumer.list_topics(timeout=30).topics
        places = {
            (topic, number): TopicPartition(topic, number, OFFSET_BEGINNING)
            for topic in topics
            if topic in known
            for number in known[topic].partitions
        }
        consumer.assign(list(places.values()))
        messages: list[Any] = []
        while places:
            message = consumer.poll(_SILENCE_SECONDS)
            if message is None:
                raise RuntimeError(f"nothing came for {_SILENCE_SECONDS} s from {sorted(places)}")
            error = message.error()
            if error is None:
                messages.append(message)
            elif error.code() == KafkaError._PARTITION_EOF:
                places.pop((str(message.topic()), int(message.partition() or 0)), None)
            elif error.fatal():
                raise RuntimeError(str(error))
        return messages
    finally:
        consumer.close()


def _redriven(kafka: str, topics: Sequence[str]) -> dict[tuple[str, int], int]:
    """Up to which offset the letters were sent back, by topic and partition."""
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": _REDRIVE_GROUP})
    try:
        known = consumer.list_topics(timeout=30).topics
        places = [
            TopicPartition(topic, number)
            for topic in topics
            if topic in known
            for number in known[topic].partitions
        ]
        found = consumer.committed(places, timeout=30) if places else []
        return {(place.topic, place.partition): max(0, place.offset) for place in found}
    finally:
        consumer.close()


def _place(message: Any) -> Place:
    return message.topic(), message.partition(), message.offset()


def _identity(message: Any) -> str:
    try:
        identity = json.loads(message.value())["id"]
    except (ValueError, KeyError, TypeError):
        identity = None
    if isinstance(identity, str):
        return identity
    key = message.key()
    return key.decode() if key else "{}-{}@{}".format(*_place(message))


def _letter(message: Any, taken: dict[tuple[str, int], int]) -> Letter:
    headers = {name: value.decode() for name, value in message.headers() or () if value}
    topic, partition, offset = (headers[_ERROR + part] for part in ("topic", "partition", "offset"))
    return Letter(
        origin=(topic, int(partition), int(offset)),
        identity=_identity(message),
        reason=headers[f"{_ERROR}exception.message"],
        live=message.offset() >= taken[message.topic(), message.partition()],
    )


def main(kafka: str, store: str) -> int:
    """Print the verdict on a running system as JSON; 0 where it is exact."""
    verdict = audit(kafka, store)
    print(json.dumps(asdict(verdict) | {"exact": verdict.exact}, ensure_ascii=False, indent=1))
    return 0 if verdict.exact else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
