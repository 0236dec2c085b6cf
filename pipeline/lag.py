"""How far each stage is behind, as Kafka knows it."""

from __future__ import annotations

import threading
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
_TIMEOUT_MS = 5000

Offsets = dict[TopicPartition, int]


class LagOfGroup(msgspec.Struct):
    """Records between a group's committed offsets and the ends of its partitions."""

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
        stages = {}
        for stage, offsets in done.items():
            topics = STAGES[stage][1]
            read = {place for topic in topics for place in places.get(topic, ())} | set(offsets)
            waiting = (ends[p] - max(offsets.get(p, 0), begins[p]) for p in read if p in ends)
            stages[stage] = LagOfGroup(sum(max(0, records) for records in waiting))
        return LagReading(stages, {p.partition: ends[p] for p in places.get(SENTIMENT, ())})

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
        wanted = dict.fromkeys(places, spec)
        if not wanted:
            return {}
        found = self._admin.list_partition_offsets(
            wanted, IsolationLevel.READ_COMMITTED, timeout_ms=_TIMEOUT_MS
        )
        return {place: at.offset for place, at in found.items()}
