"""Counting a run from outside the workers: what Kafka's topics and the store say about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager

import msgspec
from kafka import KafkaConsumer, TopicPartition

from pipeline.clients import consumer
from pipeline.settings import Settings
from pipeline.store import Freshness, Store, connect
from pipeline.topics import ALERTS, PLATFORMS, POSTS, RAW_PREFIX, SENTIMENT, dead_letter_topic


class Counted(msgspec.Struct):
    """What became of the records of a run; `produced` = `scored` + `dead_lettered` + `duplicates`
    once all of it is done, and `aggregated` = `scored`.
    """

    produced: int
    scored: int
    """Distinct post ids in `sentiment`."""
    dead_lettered: int
    duplicates: int
    """Further events of a post id that was scored before."""
    aggregated: int
    """Posts that the store counted."""
    alerts: int
    seconds: float

    @property
    def done(self) -> bool:
        """Whether every record that was produced is accounted for, up to the store."""
        handled = self.scored + self.dead_lettered + self.duplicates
        return handled == self.produced and self.aggregated == self.scored


class Census:
    """Reads `sentiment`, `alerts` and all dead letters from the moment it is made."""

    def __init__(self, source: KafkaConsumer, store: Store) -> None:
        self._source = source
        self._store = store
        self._events: Counter[bytes] = Counter()
        self._letters = 0
        self._alerts = 0
        self._before: Freshness = store.freshness()
        letters = [dead_letter_topic(f"{RAW_PREFIX}{platform}") for platform in PLATFORMS]
        topics = [SENTIMENT, ALERTS, dead_letter_topic(POSTS), *letters]
        places = [
            TopicPartition(topic, number)
            for topic in topics
            for number in sorted(source.partitions_for_topic(topic) or ())
        ]
        source.assign(places)
        for place, end in source.end_offsets(places).items():
            source.seek(place, end)

    def count(self, produced: int, seconds: float) -> Counted:
        """Read what is new and say what is known now."""
        for place, records in self._source.poll(timeout_ms=200, max_records=5000).items():
            if place.topic == SENTIMENT:
                self._events.update(record.key for record in records)
            elif place.topic == ALERTS:
                self._alerts += len(records)
            else:
                self._letters += len(records)
        now = self._store.freshness()
        return Counted(
            produced=produced,
            scored=len(self._events),
            dead_lettered=self._letters,
            duplicates=self._events.total() - len(self._events),
            aggregated=now.events - self._before.events,
            alerts=self._alerts,
            seconds=round(seconds, 1),
        )


@contextmanager
def census(settings: Settings) -> Iterator[Census]:
    """A census that begins now."""
    with closing(consumer(settings, None)) as source, closing(connect(settings.redis)) as client:
        yield Census(source, Store(client))
