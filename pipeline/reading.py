"""Reading what stands in a topic now, and no further."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

from kafka import KafkaConsumer, TopicPartition

from pipeline.errors import ServerUnavailable
from pipeline.records import Record

STALLED_SECONDS = 30.0


def until_ends(
    source: KafkaConsumer, ends: Mapping[TopicPartition, int], most: int | None = None
) -> Iterator[list[Record]]:
    """Batches of at most `most` records from the consumer's positions up to `ends`.

    The offsets before an end may all be transaction markers, so positions count, not records.

    Raises:
        ServerUnavailable: nothing has come for 30 s.
    """
    before, moved = None, time.monotonic()
    while True:
        positions = {place: source.position(place) for place in ends}
        if all(positions[place] >= end for place, end in ends.items()):
            return
        if positions != before:
            before, moved = positions, time.monotonic()
        elif time.monotonic() - moved > STALLED_SECONDS:
            raise ServerUnavailable(f"Kafka has sent nothing for {STALLED_SECONDS:.0f} s")
        polled = source.poll(timeout_ms=500, max_records=most)
        batch = [r for place, rs in polled.items() for r in rs if r.offset < ends[place]]
        if batch:
            yield batch


def partitions_of(source: KafkaConsumer, topic: str) -> list[TopicPartition]:
    """Every partition of the topic.

    Raises:
        ServerUnavailable: there is no such topic.
    """
    numbers = source.partitions_for_topic(topic)
    if not numbers:
        raise ServerUnavailable(
            f"the topic {topic} is missing; create it with: weathervane topics create"
        )
    return [TopicPartition(topic, number) for number in sorted(numbers)]
