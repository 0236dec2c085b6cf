"""Whether posts are on their way: what ingest and infer have not done, what was not read yet."""

from __future__ import annotations

import logging

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.errors import GroupIdNotFoundError, KafkaError

from pipeline.clients import consumer
from pipeline.settings import Settings
from pipeline.topics import PLATFORMS, POSTS, RAW_PREFIX

_INPUT = {
    "ingest": tuple(f"{RAW_PREFIX}{platform}" for platform in PLATFORMS),
    "infer": (POSTS,),
}
"""What each group reads. Named here, since importing infer would import torch."""

log = logging.getLogger(__name__)


class Upstream:
    """Compares the ends of the topics with how far their readers are. Used by one thread.

    `source` is the reader of `sentiment`, of the same thread.
    """

    def __init__(self, settings: Settings, source: KafkaConsumer) -> None:
        self._admin = KafkaAdminClient(**settings.kafka_options())
        self._consumer = consumer(settings, None)
        self._source = source

    def waiting(self) -> set[int]:
        """The partitions of `sentiment` that are assigned to the source and of which posts are on
        their way: all of them where a stage before has something to do, or nobody knows.
        """
        assigned = self._source.assignment()
        try:
            if any(self._behind(group, topics) for group, topics in _INPUT.items()):
                return {place.partition for place in assigned}
            ends = self._source.end_offsets(assigned)
            return {place.partition for place, end in ends.items() if self._position(place) < end}
        except KafkaError as error:
            log.warning("whether posts are on their way is not known: %r", error)
            return {place.partition for place in assigned}

    def close(self) -> None:
        """Close both clients."""
        self._admin.close()
        self._consumer.close()

    def _position(self, place: TopicPartition) -> int:
        """Past transaction markers, unlike the committed offset."""
        return int(self._source.position(place, timeout_ms=1000) or 0)

    def _behind(self, group: str, topics: tuple[str, ...]) -> bool:
        places = [
            TopicPartition(topic, number)
            for topic in topics
            for number in self._consumer.partitions_for_topic(topic) or ()
        ]
        try:
            committed = self._admin.list_group_offsets(group)[group]
        except GroupIdNotFoundError:
            committed = {}
        begins, ends = self._consumer.beginning_offsets(places), self._consumer.end_offsets(places)
        done = {place: meta.offset for place, meta in committed.items()}
        return any(max(done.get(p, 0), begins[p]) < ends[p] for p in places)
