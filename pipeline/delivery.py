"""Consume, transform, produce: each batch in one Kafka transaction.

Guarantee. What a batch produces and the offsets that it consumes become visible together or not
at all (KIP-98, with the group's generation checked by the broker: KIP-447). A process killed
anywhere repeats the batch and nothing else; a zombie's transaction is refused.

Not guaranteed: that the transform runs once. It must have no effect but its answer.

Order of one round:
    Step 1. poll a batch.
    Step 2. transform it; a record that cannot be used is answered by its dead letter.
    Step 3. produce the answers and the offsets, and commit, in one transaction.
    Where step 3 fails, abort and read again from the committed offsets.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import FencedInstanceIdError, KafkaError, ProducerFencedError
from kafka.structs import OffsetAndMetadata

from pipeline.records import Outgoing, Record
from pipeline.telemetry import Telemetry

Transform = Callable[[Sequence[Record]], Sequence[Outgoing]]
Pause = Callable[[], Sequence[Outgoing]]
"""What there is to say while nothing comes; called after every poll that was empty."""

FLUSH_SECONDS = 60.0
LONGEST_PAUSE = 5.0
"""Seconds between two attempts, once several in a row were aborted."""
_FATAL = (ProducerFencedError, FencedInstanceIdError)
log = logging.getLogger(__name__)


class Delivery:
    """The loop of one consume-transform-produce worker.

    The consumer is subscribed and the producer transactional; both are closed by the caller.
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
        self._pause = pause
        self._idle_at: dict[TopicPartition, int] = {}
        self._aborted = 0

    def run(self, stop: threading.Event) -> None:
        """Go round until `stop` is set; the batch in hand is finished first.

        Raises:
            KafkaError: this process was fenced by another of its name, or cannot go on.
        """
        self._producer.init_transactions()
        while not stop.is_set():
            self._telemetry.progress()
            polled = self._consumer.poll(timeout_ms=self._poll_ms)
            records = [record for batch in polled.values() for record in batch]
            if records:
                self._round(polled, records)
            else:
                self._idle()
            self._report_lag(records)
            if self._aborted:
                # A topic that refuses records does so for longer than a round takes.
                stop.wait(min(LONGEST_PAUSE, 0.1 * 2 ** min(self._aborted, 10)))

    def _round(self, polled: dict[TopicPartition, list[Any]], records: Sequence[Record]) -> None:
        self._telemetry.batch(len(records))
        with self._telemetry.step("transform"):
            answers = self._transform(records)
        with self._telemetry.step("commit"):
            if not self._commit_or_rewind(
                answers, {partition: batch[-1].offset + 1 for partition, batch in polled.items()}
            ):
                self._telemetry.count("repeated", len(records))

    def _commit_or_rewind(
        self, answers: Sequence[Outgoing], positions: dict[TopicPartition, int]
    ) -> bool:
        """Step 3; whether it was committed."""
        offsets = {place: OffsetAndMetadata(at, "", -1) for place, at in positions.items()}
        try:
            transact(self._producer, answers, offsets, self._consumer.group_metadata())
        except _FATAL:
            raise
        except KafkaError as error:
            log.warning("transaction aborted, the batch is repeated: %r", error)
            self._producer.abort_transaction()
            self._rewind(offsets)
            self._aborted += 1
            return False
        self._aborted = 0
        return True

    def _idle(self) -> None:
        """Move the offsets past the transaction markers behind the last record.

        Else they look like lag for as long as nothing comes. In a transaction as well: a plain
        commit that arrives late could take the offsets back.
        """
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
            self._commit_or_rewind(answers, moved)

    def _rewind(self, offsets: dict[TopicPartition, OffsetAndMetadata]) -> None:
        """Read the batch again, where the partition is still this member's."""
        assigned = self._consumer.assignment()
        for partition in offsets.keys() & assigned:
            committed = self._consumer.committed(partition)
            if committed is None:
                self._consumer.seek_to_beginning(partition)
            else:
                self._consumer.seek(partition, committed)

    def _report_lag(self, records: Sequence[Record]) -> None:
        behind = 0
        for partition in self._consumer.assignment():
            end = self._consumer.highwater(partition)
            if end is not None:
                behind += max(0, end - self._consumer.position(partition, timeout_ms=1000))
        oldest = min((record.timestamp for record in records), default=None)
        # With nothing polled, what remains between position and end is transaction markers.
        self._telemetry.lag(behind if records else 0, oldest)


def transact(
    producer: KafkaProducer,
    answers: Sequence[Outgoing],
    offsets: dict[TopicPartition, OffsetAndMetadata],
    group: Any,
) -> None:
    """Produce the answers and the offsets of a consumer group in one transaction.

    Raises:
        KafkaError: nothing of it is visible once the transaction is aborted.
    """
    producer.begin_transaction()
    sent = [
        producer.send(
            out.topic, key=out.key, value=out.value, headers=out.headers, partition=out.partition
        )
        for out in answers
    ]
    producer.send_offsets_to_transaction(offsets, group)
    producer.flush(timeout=FLUSH_SECONDS)
    # A commit can succeed without a record that failed (kafka-python 3.0.12, while the epoch is
    # bumped after an abort): its offset would be committed, and the post lost.
    for future in sent:
        if not future.succeeded():
            raise future.exception or KafkaError("a record was not acknowledged")
    producer.commit_transaction()
