"""How far each stage is behind, as Kafka knows it."""

from __future__ import annotations

import threading

import msgspec
from kafka import KafkaAdminClient, TopicPartition
from kafka.errors import GroupIdNotFoundError

from pipeline.clients import consumer
from pipeline.settings import Settings
from pipeline.topics import SENTIMENT

GROUPS = ("ingest", "infer", "aggregate")


class LagOfGroup(msgspec.Struct):
    """Records between a group's committed offsets and the ends of its partitions."""

    records: int


class Lag:
    """Reads the lag of the stages; keeps its two clients. Thread-safe, one read at a time."""

    def __init__(self, settings: Settings) -> None:
        self._admin = KafkaAdminClient(**settings.kafka_options())
        self._consumer = consumer(settings, None)
        self._lock = threading.Lock()

    def read(self) -> dict[str, LagOfGroup]:
        """Lag by stage. A stage that never committed is left out.

        Raises:
            KafkaError: Kafka does not answer.
        """
        with self._lock:
            committed = {group: self._offsets(group) for group in GROUPS}
            partitions = sorted({p for offsets in committed.values() for p in offsets})
            ends = self._consumer.end_offsets(partitions) if partitions else {}
        return {
            group: LagOfGroup(sum(max(0, ends[p] - at) for p, at in offsets.items()))
            for group, offsets in committed.items()
            if offsets
        }

    def ends(self) -> dict[int, int]:
        """Ends of `sentiment`, committed transactions only, by partition.

        Raises:
            KafkaError: Kafka does not answer.
        """
        with self._lock:
            numbers = self._consumer.partitions_for_topic(SENTIMENT) or ()
            ends = self._consumer.end_offsets([TopicPartition(SENTIMENT, n) for n in numbers])
        return {place.partition: end for place, end in ends.items()}

    def close(self) -> None:
        """Close both clients."""
        self._admin.close()
        self._consumer.close()

    def _offsets(self, group: str) -> dict[TopicPartition, int]:
        try:
            offsets = self._admin.list_group_offsets(group)[group]
        except GroupIdNotFoundError:
            return {}
        return {place: meta.offset for place, meta in offsets.items() if meta.offset >= 0}
