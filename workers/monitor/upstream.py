"""Whether posts are on their way: what ingest and infer have not done, what was not read yet."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping

from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import OffsetSpec
from kafka.errors import GroupIdNotFoundError, KafkaError

from pipeline.clients import consumer
from pipeline.settings import Settings
from pipeline.topics import PLATFORMS, POSTS, RAW_PREFIX, SENTIMENT

_INPUT = {
    "ingest": tuple(f"{RAW_PREFIX}{platform}" for platform in PLATFORMS),
    "infer": (POSTS,),
}
"""What each group reads. Named here, since importing infer would import torch."""

log = logging.getLogger(__name__)


class Upstream:
    """Compares the ends of the topics with how far their readers are. Used by one thread at a time.

    `group` is that of the reader of `sentiment`.
    """

    def __init__(self, settings: Settings, group: str) -> None:
        self._admin = KafkaAdminClient(**settings.kafka_options())
        self._consumer = consumer(settings, None)
        self._group = group

    def waiting(self, read: Mapping[int, int]) -> set[int]:
        """Those partitions of `sentiment` of which posts are on their way: all of them where a
        stage before has something to do, or nobody knows.

        `read` has the next offset by partition as its reader knows it.
        """
        try:
            if any(self._behind(group, topics) for group, topics in _INPUT.items()):
                return set(read)
            places = {TopicPartition(SENTIMENT, partition): at for partition, at in read.items()}
            done, ends = self._committed(self._group), self._consumer.end_offsets(list(places))
            written = self._written(places)
        except Exception as error:
            # kafka-python raises KeyError and others too, while a group makes its first commit.
            trace = None if isinstance(error, KafkaError) else error
            log.warning("cannot read upstream lag: %r", error, exc_info=trace)
            return set(read)
        # The marker of its transaction stands behind the last record. Where more is written than is
        # committed a transaction is open; those of one commit do not appear everywhere at once.
        return {
            place.partition
            for place, at in places.items()
            if max(at, done.get(place, 0)) + 1 < ends[place] or ends[place] < written[place]
        }

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
        done = self._committed(group)
        begins, written = self._consumer.beginning_offsets(places), self._written(places)
        return any(max(done.get(p, 0), begins[p]) < written[p] for p in places)

    def _written(self, places: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Their ends, with what is not committed."""
        latest = dict.fromkeys(places, OffsetSpec.LATEST)
        found = self._admin.list_partition_offsets(latest) if latest else {}
        return {place: at.offset for place, at in found.items()}

    def _committed(self, group: str) -> dict[TopicPartition, int]:
        try:
            found = self._admin.list_group_offsets(group)[group]
        except GroupIdNotFoundError:
            return {}
        return {place: meta.offset for place, meta in found.items()}
