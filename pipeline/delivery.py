"""Consume, transform, produce: batches of records in Kafka transactions.

Guarantee. What a transaction produces and the offsets that it consumes become visible together or
not at all (KIP-98, with the group's generation checked by the broker: KIP-447). A process killed
anywhere repeats the transaction and nothing else; a zombie's transaction is refused.

Not guaranteed: that the transform runs once. It must have no effect but its answer.

Order of one round:
    Step 1. poll a batch, and note the generation of the group that it was polled in.
    Step 2. transform it, in a thread, while this one stays a member of the group; a record that
            cannot be used is answered by its dead letter. Where the generation has changed
            meanwhile, give the round up: its partitions may be another member's by now.
    Step 3. go on with 1 and 2 while there are records at hand and the transaction before is not
            committed, or while behind, for TRANSACTION_SECONDS at most.
    Step 4. produce the answers and the offsets, and commit, in one transaction, in a thread: the
            next round is polled and transformed meanwhile, and waits for it before its own.
    Where step 4 fails, abort. After that, as after a round given up, every partition is read
    again from its committed offset.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any

from kafka import ConsumerGroupMetadata, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import FencedInstanceIdError, KafkaError, ProducerFencedError
from kafka.structs import MemberState, OffsetAndMetadata

from pipeline.records import Outgoing, Record
from pipeline.telemetry import Telemetry
from pipeline.transactions import transact


@dataclass(frozen=True, slots=True)
class Prefix:
    """Answers to the first `handled` records of a batch, one or more; the rest is asked again."""

    answers: Sequence[Outgoing]
    handled: int


Transform = Callable[[Sequence[Record]], Sequence[Outgoing] | Prefix]
Pause = Callable[[], Sequence[Outgoing]]
"""What there is to say while nothing comes; called after every poll that was empty."""

TRANSACTION_SECONDS = 0.2
"""After this long no further batch is added to a transaction."""
TRANSACTION_BYTES = 8 << 20
"""Nor once the answers are this large."""
MEMBER_SECONDS = 1.0
"""Between two polls without records, while a transform takes longer."""
LONGEST_PAUSE = 5.0
"""Seconds between two attempts, once several in a row were aborted."""
_FATAL = (ProducerFencedError, FencedInstanceIdError)
log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Round:
    """What goes into one transaction."""

    group: ConsumerGroupMetadata
    """Membership in which the records were polled: with a later one, the broker would take
    offsets of partitions that are another member's by now."""
    answers: list[Outgoing] = field(default_factory=list)
    offsets: dict[TopicPartition, int] = field(default_factory=dict)
    records: int = 0
    size: int = 0
    """Bytes of the answers."""


class Delivery:
    """The loop of one consume-transform-produce worker.

    The consumer is subscribed and the producer transactional; both are closed by the caller. The
    transform is called from one thread, which lives as long as the loop, and never twice at once.
    Only the loop's own thread uses the consumer, and only one round is in the hands of step 4.
    """

    def __init__(
        self,
        consumer: KafkaConsumer,
        producer: KafkaProducer,
        transform: Transform,
        telemetry: Telemetry,
        batch_seconds: float,
        *,
        pause: Pause = tuple,
    ) -> None:
        self._consumer = consumer
        self._producer = producer
        self._transform = transform
        self._telemetry = telemetry
        self._poll_ms = int(batch_seconds * 1000)
        self._batch_records = consumer.config["max_poll_records"]
        self._pause = pause
        self._idle_at: dict[TopicPartition, int] = {}
        self._aborted = 0
        self._thread = ThreadPoolExecutor(1, "transform")
        self._committer = ThreadPoolExecutor(1, "commit")
        self._committing: tuple[_Round, Future[None]] | None = None

    def run(self, stop: threading.Event) -> None:
        """Go round until `stop` is set; the batch in hand is finished first.

        Raises:
            KafkaError: this process was fenced by another of its name, or cannot go on.
        """
        self._producer.init_transactions()
        with self._thread, self._committer:
            while not stop.is_set():
                self._telemetry.progress()
                polled = self._consumer.poll(timeout_ms=self._poll_ms)
                if polled:
                    self._round(polled, stop)
                elif self._settled():
                    self._idle()
                self._report_lag(polled)
                if self._aborted:
                    # A topic that refuses records does so for longer than a round takes.
                    stop.wait(min(LONGEST_PAUSE, 0.1 * 2 ** min(self._aborted, 10)))
            self._settled()

    def _round(self, polled: dict[TopicPartition, list[Any]], stop: threading.Event) -> None:
        """Steps 2 to 4."""
        round_ = _Round(self._consumer.group_metadata())
        deadline = time.monotonic() + TRANSACTION_SECONDS
        while polled:
            records = [record for batch in polled.values() for record in batch]
            answers = self._transformed(records) if self._holds(round_) else ()
            # Looked at again: who is given partitions while it transforms has new positions.
            if not self._holds(round_):
                self._give_up(round_.records + len(records))
                return
            self._add(round_, polled, answers)
            full = round_.size >= TRANSACTION_BYTES or time.monotonic() >= deadline
            # A batch that is not full holds all there was: who is not behind need not wait.
            early = len(records) < self._batch_records and self._is_free()
            if full or early or stop.is_set():
                break
            polled = self._consumer.poll(timeout_ms=0)
        self._telemetry.progress()
        if self._settled():
            self._committing = round_, self._committer.submit(self._commit, round_)

    def _holds(self, round_: _Round) -> bool:
        """Whether this is the member still that polled the records, none other and not none."""
        now = self._consumer.group_metadata()
        was = round_.group
        return was.state == MemberState.STABLE and (was.generation_id, was.member_id) == (
            now.generation_id,
            now.member_id,
        )

    def _give_up(self, records: int) -> None:
        log.info("the group has changed, %d records are read again", records)
        self._telemetry.count("repeated", records)
        if self._settled():
            self._rewind()

    def _commit(self, round_: _Round) -> None:
        """Step 4."""
        offsets = {place: OffsetAndMetadata(at, "", -1) for place, at in round_.offsets.items()}
        with self._telemetry.step("commit"):
            transact(self._producer, round_.answers, offsets, round_.group)

    def _settled(self) -> bool:
        """Wait for the round in step 4; whether it was committed, or there was none.

        Where it was not, what was polled since is read again as well.
        """
        if self._committing is None:
            return True
        (round_, work), self._committing = self._committing, None
        try:
            work.result()
        except _FATAL:
            raise
        except KafkaError as error:
            log.warning("transaction aborted, the records are read again: %r", error)
            self._telemetry.count("repeated", round_.records)
            self._producer.abort_transaction()
            self._rewind()
            self._aborted += 1
            return False
        self._aborted = 0
        return True

    def _is_free(self) -> bool:
        """Whether step 4 has nothing to do."""
        return self._committing is None or self._committing[1].done()

    def _add(
        self,
        round_: _Round,
        polled: dict[TopicPartition, list[Any]],
        answers: Sequence[Outgoing] | Prefix,
    ) -> None:
        """Add a batch to the round; what of it was not handled is polled again."""
        left = sum(map(len, polled.values()))
        if isinstance(answers, Prefix):
            left, answers = answers.handled, answers.answers
        round_.records += left
        round_.answers += answers
        round_.size += sum(len(answer.value or b"") for answer in answers)
        for partition, batch in polled.items():
            done = min(left, len(batch))
            left -= done
            if done:
                round_.offsets[partition] = batch[done - 1].offset + 1
            if done < len(batch) and partition in self._consumer.assignment():
                self._consumer.seek(partition, batch[done].offset)

    def _transformed(self, records: Sequence[Record]) -> Sequence[Outgoing] | Prefix:
        """Step 2. Meanwhile it polls: a member that does not for too long is evicted."""
        self._telemetry.batch(len(records))
        with self._telemetry.step("transform"):
            work = self._thread.submit(self._transform, records)
            while not wait([work], timeout=MEMBER_SECONDS).done:
                self._consumer.pause(*self._consumer.assignment())
                for partition, batch in self._consumer.poll(timeout_ms=0).items():
                    # It was assigned in this very poll.
                    self._consumer.seek(partition, batch[0].offset)
            if paused := self._consumer.paused():
                self._consumer.resume(*paused)
            return work.result()

    def _idle(self) -> None:
        """Move the offsets past the transaction markers behind the last record.

        Else they look like lag for as long as nothing comes. In a transaction as well: a plain
        commit that arrives late could take the offsets back. Not while the group is rebalanced:
        the positions may be of partitions that were given away, and the generation the next.
        """
        group = self._consumer.group_metadata()
        if group.state != MemberState.STABLE:
            return
        positions = {
            partition: self._consumer.position(partition, timeout_ms=1000)
            for partition in self._consumer.assignment()
            if self._consumer.highwater(partition) is not None
        }
        moved = {p: at for p, at in positions.items() if at and self._idle_at.get(p) != at}
        answers = self._pause()
        if answers:
            # With all positions: what a zombie has to say is refused as its records are.
            moved = {p: at for p, at in positions.items() if at is not None}
        if moved:
            self._idle_at = positions
            round_ = _Round(group, list(answers), moved)
            self._committing = round_, self._committer.submit(self._commit, round_)
            self._settled()

    def _rewind(self) -> None:
        """Read again from the committed offsets.

        All partitions, not those of the round alone: a seek or a poll since then may have moved
        others.
        """
        for partition in self._consumer.assignment():
            committed = self._consumer.committed(partition)
            if committed is None:
                self._consumer.seek_to_beginning(partition)
            else:
                self._consumer.seek(partition, committed)

    def _report_lag(self, polled: dict[TopicPartition, list[Any]]) -> None:
        behind = 0
        for partition in self._consumer.assignment():
            end = self._consumer.highwater(partition)
            at = None if end is None else self._consumer.position(partition, timeout_ms=1000)
            # Neither is known of a partition that is read again while the broker is silent.
            behind += 0 if end is None or at is None else max(0, end - at)
        oldest = min((batch[0].timestamp for batch in polled.values()), default=None)
        # With nothing polled, what remains between position and end is transaction markers.
        self._telemetry.lag(behind if polled else 0, oldest)
