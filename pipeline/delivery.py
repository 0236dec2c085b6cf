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
    again from its committed offset. Where it fails, or the transform, for a reason that a record
    has, that one is found by halving, and answered by its dead letter (`pipeline.isolation`);
    where Kafka is away, the whole round waits for it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import FencedInstanceIdError, KafkaError, ProducerFencedError
from kafka.structs import MemberState, OffsetAndMetadata

from pipeline.clients import knows
from pipeline.errors import Unreadable, WeathervaneError
from pipeline.isolation import ROOMS, Culprit, Isolation, Piece
from pipeline.records import Outgoing, Record, dead_letter, fitted, is_unread
from pipeline.rounds import Polled, Prefix, Round
from pipeline.telemetry import Telemetry
from pipeline.topics import dead_letter_topic
from pipeline.transactions import REFUSED, UNAVAILABLE, transact

__all__ = ["Delivery", "Prefix", "Transform"]

Transform = Callable[[Sequence[Record]], Sequence[Outgoing] | Prefix]
Pause = Callable[[], Sequence[Outgoing]]
"""What there is to say while nothing comes; called after every poll that was empty."""
Provide = Callable[[str], None]
"""Lets a topic be there that answers go to; raises a KafkaError where it is not."""

TRANSACTION_SECONDS = 0.2
"""After this long no further batch is added to a transaction."""
TRANSACTION_BYTES = 8 << 20
"""Nor once the answers are this large."""
MEMBER_SECONDS = 1.0
"""Between two polls without records, while a transform takes longer."""
LONGEST_PAUSE = 5.0
"""Seconds between two attempts, once several in a row were aborted."""
_BLOCK_MS = 10_000
"""Longest wait for a topic that the producer does not know yet."""
_FAULTS = 20
"""So many records in a row for which the transform raises: then it is not the records."""
_FATAL = (ProducerFencedError, FencedInstanceIdError)
_ENDING = (KafkaError, WeathervaneError, OSError, MemoryError)
"""Of a transform: no record is to blame."""
log = logging.getLogger(__name__)


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
        provide: Provide | None = None,
    ) -> None:
        self._consumer = consumer
        self._producer = producer
        self._transform = transform
        self._telemetry = telemetry
        self._poll_ms = int(batch_seconds * 1000)
        self._batch_records = consumer.config["max_poll_records"]
        self._pause = pause
        self._provide = provide
        self._idle_at: dict[TopicPartition, int] = {}
        self._begun: set[TopicPartition] = set()
        self._isolation = Isolation()
        self._aborted = self._faults = 0
        self._trouble = self._why = ""
        self._thread = ThreadPoolExecutor(1, "transform")
        self._committer = ThreadPoolExecutor(1, "commit")
        self._committing: tuple[Round, Future[None]] | None = None
        telemetry.needs(lambda: (not self._trouble, self._trouble))

    def run(self, stop: threading.Event) -> None:
        """Go round until `stop` is set; the batch in hand is finished first.

        Raises:
            KafkaError: this process was fenced by another of its name, or cannot go on.
        """
        self._producer.init_transactions()
        self._producer.config["max_block_ms"] = _BLOCK_MS
        with self._thread, self._committer:
            while not stop.is_set():
                self._telemetry.progress()
                piece = self._piece()
                polled = self._consumer.poll(timeout_ms=self._poll_ms)
                for place in polled.keys() - self._begun:
                    # Also for `status`, which sees by it where a process ends time and again.
                    log.info("%s-%d: reading from %d", *place, polled[place][0].offset)
                    self._begun.add(place)
                if polled:
                    self._round(polled, stop, piece)
                elif piece is None and self._settled():
                    self._idle()
                self._report_lag(polled)
                self._report_trouble()
                if self._aborted:
                    # Kafka is away for longer than a round takes.
                    stop.wait(min(LONGEST_PAUSE, 0.1 * 2 ** min(self._aborted, 10)))
            self._settled()

    def _round(
        self, polled: dict[TopicPartition, list[Any]], stop: threading.Event, piece: Piece | None
    ) -> None:
        """Steps 2 to 4."""
        round_ = Round(self._consumer.group_metadata())
        deadline = time.monotonic() + TRANSACTION_SECONDS
        while polled:
            if piece is not None:
                polled = self._of_piece(piece, polled)
            count = sum(map(len, polled.values()))
            try:
                answers = self._answers(polled, piece) if self._holds(round_) else ()
            except _ENDING:
                raise
            except Exception as error:  # noqa: BLE001 (a record is to blame)
                self._at_fault(polled, error)
                return
            # Looked at again: who is given partitions while it transforms has new positions.
            if not self._holds(round_):
                self._give_up(round_.records + count)
                return
            self._seek(round_.add(polled, answers))
            full = round_.size >= TRANSACTION_BYTES or time.monotonic() >= deadline
            # A batch that is not full holds all there was: who is not behind need not wait.
            early = count < self._batch_records and self._is_free()
            if full or early or piece is not None or stop.is_set():
                break
            polled = self._consumer.poll(timeout_ms=0)
        self._telemetry.progress()
        if round_.records and self._settled():
            self._telemetry.unread(round_.unread)
            self._committing = round_, self._committer.submit(self._commit, round_)

    def _answers(self, polled: Polled, piece: Piece | None) -> Sequence[Outgoing] | Prefix:
        """Step 2, for the records that can be read."""
        records = [r for batch in polled.values() for r in batch if not is_unread(r)]
        if not records:
            return ()
        if piece is not None and len(records) == 1:
            culprit = self._isolation.culprit(piece.place, records[0].offset)
            if culprit is not None and (room := ROOMS[culprit.attempt]) is not None:
                return [self._letter(records[0], culprit, room)]
        return self._transformed(records)

    def _letter(self, record: Record, culprit: Culprit, room: int) -> Outgoing:
        """The dead letter of a record that failed by itself, with what the stage says of it."""
        try:
            answers = self._transformed([record])
        except _ENDING:
            raise
        except Exception:
            log.debug("the transform is why", exc_info=True)
            answers = ()
        said = answers.answers if isinstance(answers, Prefix) else answers
        topic = dead_letter_topic(record.topic)
        letter = next((answer for answer in said if answer.topic == topic), None)
        if letter is None:
            letter = dead_letter(record, culprit.error)
            self._telemetry.dead_lettered(culprit.error)
        place = (record.topic, record.partition, record.offset)
        log.error("%s-%d@%d: a dead letter, since %s", *place, culprit.error)
        return fitted(letter, room)

    def _at_fault(self, polled: Polled, error: Exception) -> None:
        """The transform raised: whose fault it is is found as after an abort."""
        taken = {
            place: [record.offset for record in batch if not is_unread(record)]
            for place, batch in polled.items()
        }
        log.warning("a batch of %d fails", sum(map(len, taken.values())), exc_info=error)
        if sum(map(len, taken.values())) == 1:
            self._faults += 1
            if self._faults > _FAULTS:
                raise error
        if self._settled():
            self._rewind()
        self._isolation.failed(taken, Unreadable(f"processing failed: {error!r}"))

    def _piece(self) -> Piece | None:
        """What to try by itself now, if anything. Partitions that wait, or for it, are paused."""
        if self._isolation.next() is not None:
            self._settled()
        assigned = self._consumer.assignment()
        self._isolation.keep(assigned)
        while (piece := self._isolation.next()) is not None:
            position = self._consumer.position(piece.place, timeout_ms=1000)
            if position is None or position < piece.end:
                break
            # What it is about is there no more.
            self._isolation.passed({piece.place: position})
        self._hold(assigned - {piece.place} if piece else set(self._isolation.waiting()))
        return piece

    def _hold(self, wanted: set[TopicPartition]) -> None:
        """Let these partitions be paused, and no other."""
        paused = self._consumer.paused()
        if back := paused - wanted:
            self._consumer.resume(*back)
        if more := (wanted & self._consumer.assignment()) - paused:
            self._consumer.pause(*more)

    def _of_piece(
        self, piece: Piece, polled: dict[TopicPartition, list[Any]]
    ) -> dict[TopicPartition, list[Any]]:
        """Those of the records that belong to a piece; the others are polled again."""
        ours = [r for r in polled.get(piece.place, ()) if r.offset < piece.end]
        for place, batch in polled.items():
            rest = batch[len(ours) :] if place == piece.place else batch
            if rest:
                self._seek({place: rest[0].offset})
        return {piece.place: ours} if ours else {}

    def _seek(self, offsets: dict[TopicPartition, int]) -> None:
        for place, offset in offsets.items():
            if place in self._consumer.assignment():
                self._consumer.seek(place, offset)

    def _holds(self, round_: Round) -> bool:
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

    def _commit(self, round_: Round) -> None:
        """Step 4."""
        offsets = {place: OffsetAndMetadata(at, "", -1) for place, at in round_.offsets.items()}
        with self._telemetry.step("commit"):
            for topic in {answer.topic for answer in round_.answers}:
                if self._provide is not None and not knows(self._producer, topic):
                    self._provide(topic)
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
            self._aborted_for(round_, error)
            return False
        self._aborted = 0
        self._isolation.passed(round_.offsets)
        return True

    def _aborted_for(self, round_: Round, error: KafkaError) -> None:
        log.warning("transaction aborted, the records are read again: %r", error)
        self._telemetry.aborted()
        self._telemetry.count("repeated", round_.records)
        self._producer.abort_transaction()
        self._rewind()
        if round_.taken and isinstance(error, REFUSED + UNAVAILABLE):
            gone = isinstance(error, UNAVAILABLE)
            self._isolation.failed(round_.taken, error, unavailable=gone)
        else:
            self._aborted += 1
            self._why = repr(error)

    def _is_free(self) -> bool:
        """Whether step 4 has nothing to do."""
        return self._committing is None or self._committing[1].done()

    def _transformed(self, records: Sequence[Record]) -> Sequence[Outgoing] | Prefix:
        """Step 2. Meanwhile it polls: a member that does not for too long is evicted."""
        self._telemetry.batch(len(records))
        held = self._consumer.paused()
        with self._telemetry.step("transform"):
            work = self._thread.submit(self._transform, records)
            while not wait([work], timeout=MEMBER_SECONDS).done:
                self._consumer.pause(*self._consumer.assignment())
                for partition, batch in self._consumer.poll(timeout_ms=0).items():
                    # It was assigned in this very poll.
                    self._consumer.seek(partition, batch[0].offset)
            self._hold(held)
            answers = work.result()
        self._faults = 0
        return answers

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
            round_ = Round(group, list(answers), moved)
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

    def _report_trouble(self) -> None:
        """Whether it goes on, for whoever asks."""
        waiting = self._isolation.waiting()
        self._telemetry.waiting(len(waiting))
        trouble = ""
        if self._aborted > 1:
            trouble = f"{self._aborted} transactions in a row were aborted: {self._why}"
        for place, culprit in waiting.items():
            trouble = f"{place.topic}-{place.partition} waits at {culprit.offset}: {culprit.error}"
        self._trouble = trouble

    def _report_lag(self, polled: dict[TopicPartition, list[Any]]) -> None:
        behind = 0
        for partition in self._consumer.assignment():
            end = self._consumer.highwater(partition)
            at = None if end is None else self._consumer.position(partition, timeout_ms=1000)
            # Neither is known of a partition that is read again while the broker is silent.
            behind += 0 if end is None or at is None else max(0, end - at)
        # A producer may write any time, or none (-1).
        times = [batch[0].timestamp for batch in polled.values() if batch[0].timestamp > 0]
        oldest = min(times, default=None)
        # With nothing polled, what remains between position and end is transaction markers.
        self._telemetry.lag(behind if polled else 0, oldest)
