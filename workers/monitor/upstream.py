"""Whether posts are on their way to `sentiment`: what ingest and infer have not done yet."""

from __future__ import annotations

import logging

from kafka import KafkaAdminClient, TopicPartition
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
    """Compares the ends of the topics with what their readers committed. Used by one thread."""

    def __init__(self, settings: Settings) -> None:
        self._admin = KafkaAdminClient(**settings.kafka_options())
        self._consumer = consumer(settings, None)

    def waiting(self) -> bool:
        """Whether a record of a raw topic or of `posts` was not handled yet, or nobody knows."""
        try:
            return any(self._behind(group, topics) for group, topics in _INPUT.items())
        except KafkaError as error:
            log.warning("whether posts are on their way is not known: %r", error)
            return True

    def close(self) -> None:
        """Close both clients."""
        self._admin.close()
        self._consumer.close()

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
