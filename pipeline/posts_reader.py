"""Reading single posts back from `posts`, by partition and offset.

The store keeps no text: what a page shows is read from Kafka, and is gone when its retention,
or an erasure, has taken it there.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from kafka import TopicPartition
from kafka.errors import KafkaTimeoutError

from pipeline.clients import consumer
from pipeline.errors import UNDECODABLE
from pipeline.post import IngestedPost, posts_decoder
from pipeline.settings import Settings
from pipeline.topics import POSTS

Place = tuple[int, int]
"""Partition and offset in `posts`."""


class PostReader:
    """A consumer without a group, and a cache of the posts read last. Thread-safe."""

    def __init__(self, settings: Settings, cached: int = 2000) -> None:
        self._consumer = consumer(
            settings,
            None,
            fetch_max_bytes=1 << 20,
            max_partition_fetch_bytes=256 << 10,
            max_poll_records=500,
            auto_offset_reset="none",
        )
        self._cache: OrderedDict[Place, IngestedPost | None] = OrderedDict()
        self._cached = cached
        self._lock = threading.Lock()

    def read(self, partition: int, offset: int, timeout: float = 3) -> IngestedPost | None:
        """The post at this place; None where it is no longer kept or did not come in time."""
        return self.read_many([(partition, offset)], timeout)[partition, offset]

    def read_many(
        self, places: Iterable[Place], timeout: float = 3
    ) -> dict[Place, IngestedPost | None]:
        """Posts by place. `timeout` in seconds bounds the whole call.

        Raises:
            KafkaError: Kafka does not answer.
        """
        wanted = list(dict.fromkeys(places))
        deadline = time.monotonic() + timeout
        with self._turn(timeout):
            missing = sorted(set(wanted) - self._cache.keys())
            for place in missing:
                # A record read on the way to another one is in the cache by now.
                if place not in self._cache and time.monotonic() < deadline:
                    self._fetch(place, deadline)
            found = {place: self._cache.get(place) for place in wanted}
            while len(self._cache) > self._cached:
                self._cache.popitem(last=False)
        return found

    @contextmanager
    def _turn(self, timeout: float) -> Iterator[None]:
        """Wait for the turn of the calling thread: the one before may wait for a silent Kafka."""
        if not self._lock.acquire(timeout=timeout):
            raise KafkaTimeoutError(f"no answer within {timeout:g} s")
        try:
            yield
        finally:
            self._lock.release()

    def close(self) -> None:
        """Close the consumer."""
        self._consumer.close()

    def _fetch(self, place: Place, deadline: float) -> None:
        partition, offset = place
        topic_partition = TopicPartition(POSTS, partition)
        self._consumer.assign([topic_partition])
        left_ms = max(1, int((deadline - time.monotonic()) * 1000))
        begins = self._consumer.beginning_offsets([topic_partition], timeout_ms=left_ms)
        if offset < begins[topic_partition]:
            self._cache[place] = None
            return
        self._consumer.seek(topic_partition, offset)
        while place not in self._cache and time.monotonic() < deadline:
            for record in self._consumer.poll(timeout_ms=200).get(topic_partition, ()):
                self._cache[partition, record.offset] = _decoded(record.value)
                if record.offset > offset:
                    self._cache.setdefault(place, None)


def _decoded(value: bytes | None) -> IngestedPost | None:
    try:
        return posts_decoder.decode(value) if value else None
    except UNDECODABLE:
        return None
