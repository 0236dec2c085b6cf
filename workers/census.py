"""Counting a run from outside the workers: what Kafka's topics and the store say about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager

import msgspec
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.errors import GroupIdNotFoundError

from pipeline.clients import consumer
from pipeline.records import Record
from pipeline.rollups import Clock, Progress, decoder
from pipeline.settings import Settings
from pipeline.store import Freshness, Store, connect
from pipeline.topics import (
    ALERTS,
    MONITOR,
    PLATFORMS,
    POSTS,
    RAW_PREFIX,
    ROLLUPS,
    SENTIMENT,
    SHED,
    dead_letter_topic,
)
from pipeline.tracks import ALL

_NEVER_MS = 10**15
"""A lateness that only an idle partition of `sentiment` waives."""


class Counted(msgspec.Struct, omit_defaults=True):
    """What became of the records of a run; `produced` = `scored` + `dead_lettered` + `duplicates`
    + `shed` once all of it is done, and `aggregated` = `scored`.
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
    """Distinct ids in `alerts`."""
    seconds: float
    shed: int = 0
    """Posts left unscored under overload; left out where there were none."""

    @property
    def done(self) -> bool:
        """Whether every record that was produced is accounted for, up to the store."""
        return self.handled == self.produced and self.aggregated == self.scored

    @property
    def handled(self) -> int:
        """Records that are accounted for."""
        return self.scored + self.dead_lettered + self.duplicates + self.shed


class Census:
    """Reads what came of posts, rollups, alerts and dead letters from the moment it is made."""

    def __init__(self, source: KafkaConsumer, admin: KafkaAdminClient, store: Store) -> None:
        self._source, self._admin = source, admin
        self._store = store
        self._events: Counter[bytes] = Counter()
        self._letters = 0
        self._shed = 0
        self._alerts: set[bytes] = set()
        self._rolled = 0
        self._idle: dict[int, bool] = {}
        self._newest = 0
        self._clocks: dict[TopicPartition, Clock] = {}
        self._rollups_read: dict[TopicPartition, int] = {}
        self._before: Freshness = store.freshness()
        letters = [dead_letter_topic(f"{RAW_PREFIX}{platform}") for platform in PLATFORMS]
        topics = [SENTIMENT, SHED, ROLLUPS, ALERTS, dead_letter_topic(POSTS), *letters]
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
                self._alerts.update(record.key for record in records)
            elif place.topic == ROLLUPS:
                self._read_rollups(place, records)
            elif place.topic == SHED:
                self._shed += len(records)
            else:
                self._letters += len(records)
        now = self._store.freshness()
        return Counted(
            produced=produced,
            scored=len(self._events),
            dead_lettered=self._letters,
            duplicates=self._events.total() - len(self._events),
            aggregated=now.events - self._before.events,
            alerts=len(self._alerts),
            seconds=round(seconds, 1),
            shed=self._shed,
        )

    def watched(self, events: int) -> bool:
        """Whether the monitor has judged so many events: as far as the last `count` has read, they
        are rolled up, nothing is on its way, their last minute is complete, and what says so was
        handled.
        """
        partitions = self._source.partitions_for_topic(SENTIMENT) or ()
        if self._rolled < events or not all(self._idle.get(number) for number in partitions):
            return False
        if any(clock.complete < self._newest for clock in self._clocks.values()):
            return False
        try:
            handled = self._admin.list_group_offsets(MONITOR)[MONITOR]
        except GroupIdNotFoundError:
            return False
        return all(
            place in handled and handled[place].offset > last
            for place, last in self._rollups_read.items()
        )

    def _clock(self, place: TopicPartition) -> Clock:
        """As the monitor has one for the tracks of this partition."""
        if place not in self._clocks:
            sources = self._source.partitions_for_topic(SENTIMENT) or ()
            self._clocks[place] = Clock(len(sources), _NEVER_MS)
        return self._clocks[place]

    def _read_rollups(self, place: TopicPartition, records: Sequence[Record]) -> None:
        self._rollups_read[place] = records[-1].offset
        for record in records:
            rollup = decoder.decode(record.value or b"")
            if isinstance(rollup, Progress):
                self._idle[rollup.partition] = rollup.idle
                self._newest = max(self._newest, rollup.newest)
                self._clock(place).hear(rollup)
            elif rollup.track == ALL:
                posts = sum(cell.posts for cell in rollup.minutes.values())
                self._rolled += posts + rollup.outside + rollup.silent
                self._idle[rollup.partition] = False


@contextmanager
def census(settings: Settings) -> Iterator[Census]:
    """A census that begins now."""
    with (
        closing(consumer(settings, None)) as source,
        closing(KafkaAdminClient(**settings.kafka_options())) as admin,
        closing(connect(settings.redis)) as client,
    ):
        yield Census(source, admin, Store(client))
