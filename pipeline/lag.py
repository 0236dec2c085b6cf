"""How far each stage is behind, as Kafka knows it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping

import msgspec
from kafka import IsolationLevel, KafkaAdminClient, TopicPartition
from kafka.admin import OffsetSpec
from kafka.errors import GroupIdNotFoundError

from pipeline.settings import Settings
from pipeline.topics import DELETIONS, MONITOR, PLATFORMS, POSTS, RAW_PREFIX, SENTIMENT, SHED

STAGES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "ingest": ("ingest", tuple(f"{RAW_PREFIX}{platform}" for platform in PLATFORMS)),
    "infer": ("infer", (POSTS,)),
    "aggregate": ("aggregate", (SENTIMENT, SHED, DELETIONS)),
    "monitor": (f"{MONITOR}-combine", (SENTIMENT,)),
}
"""The consumer group of each stage and what it reads. Named here, since importing infer would
import torch."""
HELD_SECONDS = 1.0
"""A transaction that is open for longer than this holds others up; many are open for a moment."""
_TIMEOUT_MS = 5000

Offsets = dict[TopicPartition, int]


class LagOfGroup(msgspec.Struct):
    """Records between a group's committed offsets and the ends of its partitions.

    In the raw topics those of open transactions are among them, and what is behind these: others
    produce to them. Elsewhere the ends are those of committed transactions, which are ours.
    """

    records: int


class LagReading(msgspec.Struct):
    """The lag at one moment."""

    stages: dict[str, LagOfGroup]
    """By stage; one whose group never ran is left out."""
    ends: dict[int, int]
    """Ends of `sentiment`, committed transactions only, by partition."""


class Lag:
    """Reads the lag of the stages; keeps its client. Thread-safe, one read at a time."""

    def __init__(self, settings: Settings) -> None:
        self._admin = KafkaAdminClient(
            **settings.kafka_options(),
            request_timeout_ms=_TIMEOUT_MS,
            reconnect_backoff_max_ms=2000,
        )
        self._lock = threading.Lock()

    def read(self) -> LagReading:
        """The lag of every stage. Takes some seconds where Kafka does not answer.

        A group that has joined and committed nothing yet has all before it that its topics hold.

        Raises:
            KafkaError: Kafka does not answer.
        """
        with self._lock:
            places = self._places()
            there = {group["group_id"] for group in self._admin.list_groups()}
            # Read before the ends: what is finished in between is at most shown as waiting.
            done = {
                stage: self._committed(group)
                for stage, (group, _) in STAGES.items()
                if group in there
            }
            every = set().union(*places.values(), *done.values())
            begins = self._at(every, OffsetSpec.EARLIEST)
            ends = self._at(every, OffsetSpec.LATEST)
            raw = [place for place in every if place.topic.startswith(RAW_PREFIX)]
            ends |= ends_of(self._admin, raw, IsolationLevel.READ_UNCOMMITTED)
        stages = {}
        for stage, offsets in done.items():
            topics = STAGES[stage][1]
            read = {place for topic in topics for place in places.get(topic, ())} | set(offsets)
            waiting = (ends[p] - max(offsets.get(p, 0), begins[p]) for p in read if p in ends)
            stages[stage] = LagOfGroup(sum(max(0, records) for records in waiting))
        return LagReading(stages, {p.partition: ends[p] for p in places.get(SENTIMENT, ())})

    def held(self) -> Offsets:
        """Records of raw topics behind an open transaction, as `held` has it.

        Raises:
            KafkaError: Kafka does not answer.
        """
        with self._lock:
            raw = [
                place
                for topic, places in self._places().items()
                for place in places
                if topic.startswith(RAW_PREFIX)
            ]
            return held(self._admin, raw)

    def close(self) -> None:
        """Close the client."""
        self._admin.close()

    def _places(self) -> dict[str, list[TopicPartition]]:
        """The partitions of what the stages read; topics that are not there are left out."""
        wanted = {topic for _, topics in STAGES.values() for topic in topics}
        return {
            topic["name"]: [
                TopicPartition(topic["name"], each["partition_index"])
                for each in topic["partitions"]
            ]
            for topic in self._admin.describe_topics()
            if topic["name"] in wanted
        }

    def _committed(self, group: str) -> Offsets:
        """What the group has committed."""
        try:
            found = self._admin.list_group_offsets(group)[group]
        except GroupIdNotFoundError:
            return {}
        return {place: meta.offset for place, meta in found.items() if meta.offset >= 0}

    def _at(self, places: Iterable[TopicPartition], spec: OffsetSpec) -> Offsets:
        return ends_of(self._admin, places, IsolationLevel.READ_COMMITTED, spec)


def held(
    admin: KafkaAdminClient, places: Iterable[TopicPartition], seconds: float = HELD_SECONDS
) -> Offsets:
    """How many records nobody can read yet, by partition: a transaction that was begun before them
    is open, and has been for so many seconds. Partitions without such are left out.

    Raises:
        KafkaError: Kafka does not answer.
    """
    before = _open(admin, places)
    if not before:
        return {}
    time.sleep(seconds)
    now = _open(admin, before)
    return {
        place: end - stable for place, (stable, end) in now.items() if stable == before[place][0]
    }


def behind_open(held: Offsets) -> list[str]:
    """What `held` found, in a sentence for each partition."""
    return [
        f"{records:,} records wait behind an open transaction of another producer in "
        f"{place.topic}-{place.partition}"
        for place, records in sorted(held.items())
    ]


def _open(
    admin: KafkaAdminClient, places: Iterable[TopicPartition]
) -> dict[TopicPartition, tuple[int, int]]:
    """The last stable offset and the end, where they differ."""
    # In this order, or what comes in between would look like a transaction.
    ends = ends_of(admin, places, IsolationLevel.READ_UNCOMMITTED)
    stable = ends_of(admin, ends, IsolationLevel.READ_COMMITTED)
    return {
        place: (stable[place], end) for place, end in ends.items() if stable.get(place, end) < end
    }


def ends_of(
    admin: KafkaAdminClient,
    places: Iterable[TopicPartition],
    isolation: IsolationLevel,
    spec: OffsetSpec = OffsetSpec.LATEST,
) -> Offsets:
    """The offsets at the ends of partitions, to a reader of this isolation."""
    wanted = dict.fromkeys(places, spec)
    if not wanted:
        return {}
    found = admin.list_partition_offsets(wanted, isolation, timeout_ms=_TIMEOUT_MS)
    return {place: at.offset for place, at in found.items()}
