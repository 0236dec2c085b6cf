"""Where the readers of each stage stand, and where their topics end."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable

from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import OffsetSpec
from kafka.errors import GroupIdNotFoundError

from pipeline.clients import consumer
from pipeline.settings import Settings
from pipeline.topics import PLATFORMS, POSTS, RAW_PREFIX, SENTIMENT
from workers.monitor.frontier import Look, Stage

_STAGES = (
    ("ingest", tuple(f"{RAW_PREFIX}{platform}" for platform in PLATFORMS)),
    ("infer", (POSTS,)),
)
"""What each group reads. Named here, since importing infer would import torch."""
_MS = 5000
"""Longest wait for one answer."""

log = logging.getLogger(__name__)


class Upstream:
    """Compares the ends of the topics with how far their readers are. Used by one thread at a time.

    `group` is that of the reader of `sentiment`; `clock` is steady, in seconds.
    """

    def __init__(
        self, settings: Settings, group: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._admin = KafkaAdminClient(**settings.kafka_options())
        self._consumer = consumer(settings, None)
        self._stages = (*_STAGES, (group, (SENTIMENT,)))
        self._clock = clock
        self._known = True

    def look(self) -> Look | None:
        """How far each stage is; None where Kafka does not say."""
        at = self._clock()
        try:
            look = Look(at, [self._stage(group, topics) for group, topics in self._stages])
        except Exception as error:  # noqa: BLE001 (also KeyError, while a group first commits)
            if self._known:
                log.warning("whether posts are on their way is not known: %r", error)
            self._known = False
            return None
        self._known = True
        return look

    def close(self) -> None:
        """Close both clients."""
        self._admin.close()
        self._consumer.close()

    def _stage(self, group: str, topics: tuple[str, ...]) -> Stage:
        places = [
            TopicPartition(topic, number)
            for topic in topics
            for number in self._consumer.partitions_for_topic(topic) or ()
        ]
        # With what is in open transactions: it is on its way as well.
        ends = self._offsets(places, OffsetSpec.LATEST)
        done = self._committed(group)
        # What retention has deleted is waited for no more.
        behind = [place for place in places if done.get(place, 0) < ends[place]]
        begins = self._offsets(behind, OffsetSpec.EARLIEST)
        reached = {place: max(done.get(place, 0), begins.get(place, 0)) for place in places}
        return Stage(group, ends, reached)

    def _offsets(
        self, places: Iterable[TopicPartition], spec: OffsetSpec
    ) -> dict[TopicPartition, int]:
        wanted = dict.fromkeys(places, spec)
        found = self._admin.list_partition_offsets(wanted, timeout_ms=_MS) if wanted else {}
        return {place: at.offset for place, at in found.items()}

    def _committed(self, group: str) -> dict[TopicPartition, int]:
        try:
            found = self._admin.list_group_offsets(group)[group]
        except GroupIdNotFoundError:
            return {}
        return {place: meta.offset for place, meta in found.items()}
