"""Aggregate: sentiment events, posts that were shed and deletions into the store, exactly.

The store's position is the truth; the group's committed offsets only show the lag. On assignment
the consumer seeks to the stored position, after a refusal as well, and once a second the positions
are compared, so that a store that came back with an older snapshot is caught up. Where nothing is
left to read by then, the store is told so: readers see by the age of that note whether the counts
are up to date, also when the store lost it or this process is dead.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from typing import Any, TypeVar

import redis
from kafka import ConsumerRebalanceListener, KafkaConsumer, TopicPartition
from kafka.errors import KafkaError
from kafka.structs import OffsetAndMetadata

from pipeline.buckets import Scored
from pipeline.clients import consumer, membership
from pipeline.deletion import deletion_decoder
from pipeline.deletion_fold import DeletionFolder, Said
from pipeline.errors import UNDECODABLE
from pipeline.event import event_decoder
from pipeline.eviction import may_evict
from pipeline.fold import Folded, Folder, Position, Positions
from pipeline.headers import POST_OFFSET, POST_PARTITION, RECEIVED, header_int
from pipeline.partition_count import note_partitions
from pipeline.records import Record
from pipeline.settings import Settings
from pipeline.shed_fold import ShedFolder
from pipeline.shedding import shed_decoder
from pipeline.store import connect
from pipeline.telemetry import Telemetry
from pipeline.topics import DELETIONS, SENTIMENT, SHED
from workers.process import watchdog, worker

GROUP = "aggregate"
CHECK_SECONDS = 1.0
LOOK_SECONDS = 5.0
"""Between two looks at the policy of the store, which may be changed while it runs."""
_ENDS_MS = 1000
"""Longest wait for the ends of the partitions."""
T = TypeVar("T")
log = logging.getLogger(__name__)


class Aggregate(ConsumerRebalanceListener):  # type: ignore[misc]
    """Folds what its consumer is assigned. `now_ms` is the clock, epoch milliseconds."""

    def __init__(
        self,
        source: KafkaConsumer,
        folder: Folder,
        telemetry: Telemetry,
        poll_seconds: float,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        *,
        salt: str | None = None,
    ) -> None:
        """`salt` is the one that infer publishes authors with."""
        self._source = source
        self._folder = folder
        self._shed_folder = ShedFolder(folder.client, folder.namespace)
        self._deletion_folder = DeletionFolder(
            folder.client, folder.namespace, folder.cascade, salt
        )
        self._telemetry = telemetry
        self._poll_ms = int(poll_seconds * 1000)
        self._now_ms = now_ms
        self._positions: dict[TopicPartition, Position] = {}
        self._checked = 0.0
        self._partitions = 0
        self._looked = 0.0
        self._unsafe: str | None = None

    def on_partitions_revoked(self, revoked: Any) -> None:
        """Forget the partitions: their positions are another's to move."""
        for partition in revoked:
            self._positions.pop(partition, None)

    def on_partitions_assigned(self, assigned: Any) -> None:
        """Positions are read before the next fold (the store may not answer right now)."""
        for partition in assigned:
            self._positions.pop(partition, None)

    def run(self, stop: threading.Event) -> None:
        """Go round until `stop` is set. While the store does not answer, nothing is read."""
        while not stop.is_set():
            self._telemetry.progress()
            check = time.monotonic() - self._checked >= CHECK_SECONDS
            try:
                self._look_after_store()
                self._locate(check)
                self._round()
                self._telemetry.ready(True)
            except redis.RedisError as error:
                log.warning("the store does not answer, positions are read again: %r", error)
                self._telemetry.ready(False, f"the store does not answer: {error}")
                self._positions.clear()
                stop.wait(1)
            if check:
                self._checked = time.monotonic()
                self._commit()

    def store_is_safe(self) -> tuple[bool, str]:
        """Whether the store keeps what is counted, and if not, why not."""
        return self._unsafe is None, self._unsafe or ""

    def _look_after_store(self) -> None:
        """Say where the store may drop keys, and where partitions were added since it began."""
        count = len(self._source.partitions_for_topic(SENTIMENT) or ())
        if count and count != self._partitions:
            change = note_partitions(
                self._folder.client, count, self._now_ms(), self._folder.namespace
            )
            self._partitions = count
            if change is not None:
                log.warning(
                    "%s had %d partitions and has %d: posts that were counted before and are sent "
                    "again are counted twice (docs/operate.md, Partitions)",
                    SENTIMENT,
                    change.before,
                    change.count,
                )
        now = time.monotonic()
        if now - self._looked < LOOK_SECONDS and self._looked:
            return
        unsafe, self._looked = may_evict(self._folder.client), now
        if unsafe is not None and self._unsafe is None:
            log.error("%s", unsafe)
        self._unsafe = unsafe

    def _locate(self, check: bool) -> None:
        """Seek to the stored position where the consumer is elsewhere; `check` asks for all."""
        if check:
            self._count_partitions()
        ended = self._ended() if check else {}
        for partition in self._source.assignment():
            known = self._positions.get(partition)
            if known is None or (check and partition not in ended):
                stored = self._of(partition).position(partition.partition)
            elif check:
                stored = self._of(partition).confirm(partition.partition, known, *ended[partition])
            else:
                continue
            if known != stored:
                self._seek(partition, stored)

    def _count_partitions(self) -> None:
        """Where the store keeps what a post goes with follows from how many there are."""
        partitions = self._source.partitions_for_topic(DELETIONS)
        if partitions:
            self._folder.cascade.partitions = len(partitions)

    def _of(self, partition: TopicPartition) -> Positions:
        others: dict[str, Positions] = {
            SHED: self._shed_folder,
            DELETIONS: self._deletion_folder,
        }
        return others.get(partition.topic, self._folder)

    def _ended(self) -> dict[TopicPartition, tuple[int, int]]:
        """Partitions of which nothing is left to read: the position and since when (epoch ms)."""
        now_ms = self._now_ms()
        try:
            ends = self._source.end_offsets(list(self._positions), timeout_ms=_ENDS_MS)
        except (KafkaError, KeyError) as error:
            # kafka-python raises KeyError while a group makes its first commit.
            log.warning("Kafka does not tell where the partitions end: %r", error)
            return {}
        reached = {p: self._source.position(p, timeout_ms=_ENDS_MS) for p in self._positions}
        return {p: (at, now_ms) for p, at in reached.items() if at is not None and at >= ends[p]}

    def _seek(self, partition: TopicPartition, stored: Position) -> None:
        if stored.offset is None:
            self._source.seek_to_beginning(partition)
        else:
            self._source.seek(partition, stored.offset)
        self._positions[partition] = stored
        log.info("%s-%d: reading from %s", *partition, stored.offset)

    def _round(self) -> None:
        polled = self._source.poll(timeout_ms=self._poll_ms)
        newest = None
        for partition, records in polled.items():
            # A partition that was assigned during this poll has no position yet, and is read
            # from it in the next round.
            if partition in self._positions:
                self._fold(partition, records)
                newest = records[-1].timestamp
        self._report_lag(newest, bool(polled))

    def _fold(self, partition: TopicPartition, records: Sequence[Record]) -> None:
        # The store may take its time for each partition.
        self._telemetry.progress()
        self._telemetry.batch(len(records))
        folds = {SHED: self._fold_shed, DELETIONS: self._fold_deletions}
        fold = folds.get(partition.topic, self._fold_scored)
        folded = fold(partition.partition, self._positions[partition], records)
        if not folded.applied:
            log.warning("%s-%d: the store is elsewhere", *partition)
            self._telemetry.count("refused", len(records))
            self._seek(partition, folded.position)
            return
        self._positions[partition] = folded.position
        self._telemetry.count("ok", folded.counted)
        self._telemetry.count("duplicate", folded.duplicates)
        self._telemetry.count("edited", folded.edited)
        self._telemetry.count("late", folded.late)
        self._telemetry.count("shed", folded.shed)
        self._telemetry.count("deleted", folded.deleted)

    def _fold_scored(self, partition: int, position: Position, records: Sequence[Record]) -> Folded:
        with self._telemetry.step("decode"):
            batch = [scored for record in records if (scored := self._scored(record))]
        with self._telemetry.step("fold"):
            end = records[-1].offset + 1
            return self._folder.fold(partition, position, batch, end, self._now_ms())

    def _fold_shed(self, partition: int, position: Position, records: Sequence[Record]) -> Folded:
        batch = [shed for record in records if (shed := self._decoded(shed_decoder.decode, record))]
        with self._telemetry.step("fold"):
            return self._shed_folder.fold(partition, position, batch, records[-1].offset + 1)

    def _fold_deletions(
        self, partition: int, position: Position, records: Sequence[Record]
    ) -> Folded:
        batch = [
            Said(deletion, record.timestamp)
            for record in records
            if (deletion := self._decoded(deletion_decoder.decode, record))
        ]
        with self._telemetry.step("fold"):
            end = records[-1].offset + 1
            return self._deletion_folder.fold(partition, position, batch, end)

    def _decoded(self, decode: Callable[[bytes], T], record: Record) -> T | None:
        try:
            return decode(record.value or b"")
        except UNDECODABLE as error:
            place = (record.topic, record.partition, record.offset)
            log.error("%s-%d@%d cannot be read, left out: %s", *place, error)
            self._telemetry.count("unreadable")
            return None

    def _scored(self, record: Record) -> Scored | None:
        event = self._decoded(event_decoder.decode, record)
        if event is None:
            return None
        headers = record.headers
        return Scored(
            event,
            record.offset,
            record.timestamp,
            header_int(headers, RECEIVED),
            header_int(headers, POST_PARTITION),
            header_int(headers, POST_OFFSET),
        )

    def _commit(self) -> None:
        """Tell the group where the store stands, for whoever watches the lag."""
        # The consumer's position is past the transaction markers behind the last record.
        positions = {p: self._source.position(p, timeout_ms=1000) for p in self._positions}
        offsets = {
            p: OffsetAndMetadata(at, "", -1) for p, at in positions.items() if at is not None
        }
        if offsets:
            try:
                self._source.commit_async(offsets)
            except KafkaError as error:
                log.warning("the lag shown is stale: %r", error)

    def _report_lag(self, newest_ms: int | None, busy: bool) -> None:
        behind = 0
        for partition, position in self._positions.items():
            end = self._source.highwater(partition)
            if end is not None:
                behind += max(0, end - (position.offset or 0))
        # With nothing polled, what remains before the end is transaction markers.
        self._telemetry.lag(behind if busy else 0, newest_ms)


def run(settings: Settings, port: int) -> None:
    """Run one aggregate worker until SIGTERM.

    Raises:
        WeathervaneError: a setting is wrong, or Kafka does not answer.
    """
    with (
        worker(GROUP, settings, port) as (telemetry, stop),
        watchdog(telemetry, settings.stalled_seconds / 2),
        closing(connect(settings.redis)) as client,
        closing(consumer(settings, GROUP)) as source,
    ):
        folder = Folder(
            client,
            lateness_ms=int(settings.lateness_seconds * 1000),
            dedupe_ms=int(settings.dedupe_hours * 3_600_000),
        )
        salt = settings.secret("author_salt")
        aggregate = Aggregate(source, folder, telemetry, settings.batch_seconds, salt=salt)
        telemetry.needs(partial(membership, source))
        telemetry.needs(aggregate.store_is_safe)
        source.subscribe([SENTIMENT, SHED, DELETIONS], listener=aggregate)
        aggregate.run(stop)
