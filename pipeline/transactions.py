"""One Kafka transaction: records, and the offsets that they answer."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

from kafka import ConsumerGroupMetadata, KafkaProducer, TopicPartition
from kafka.errors import (
    InvalidRecordError,
    InvalidTimestampError,
    InvalidTopicError,
    KafkaError,
    MessageSizeTooLargeError,
    PolicyViolationError,
    RecordListTooLargeError,
    TopicAuthorizationFailedError,
)
from kafka.structs import OffsetAndMetadata

from pipeline.records import Outgoing
from pipeline.topics import TopicMissing

FLUSH_SECONDS = 20.0
"""Shorter than the time-out of a transaction (30 s), after which the broker ends it by itself."""


class Unwritable(KafkaError):  # type: ignore[misc]
    """No record can be made of an answer."""


REFUSED = (
    Unwritable,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    InvalidRecordError,
    InvalidTimestampError,
    PolicyViolationError,
)
"""What is said of a record, and will be said of it again."""
UNAVAILABLE = (TopicMissing, TopicAuthorizationFailedError, InvalidTopicError)
"""What is said of a topic, until a person mends it."""


def transact(
    producer: KafkaProducer,
    answers: Sequence[Outgoing],
    offsets: dict[TopicPartition, OffsetAndMetadata],
    group: ConsumerGroupMetadata,
) -> None:
    """Produce the answers and the offsets of a consumer group in one transaction.

    Raises:
        KafkaError: nothing of it is visible once the transaction is aborted. Of REFUSED or
            UNAVAILABLE where an answer is why.
    """
    producer.begin_transaction()
    sent: list[Any] = []
    try:
        for out in answers:
            sent.append(_send(producer, out))
        producer.send_offsets_to_transaction(offsets, group)
        producer.flush(timeout=FLUSH_SECONDS)
        # A commit can succeed without a record that failed (kafka-python 3.0.12, while the epoch is
        # bumped after an abort): its offset would be committed, and the post lost.
        for future in sent:
            if not future.succeeded():
                raise future.exception or KafkaError("a record was not acknowledged")
    except KafkaError as error:
        cause = _cause(answers, sent)
        if cause is None:
            raise
        raise cause from error
    producer.commit_transaction()


def _send(producer: KafkaProducer, out: Outgoing) -> Any:
    try:
        return producer.send(
            out.topic, key=out.key, value=out.value, headers=out.headers, partition=out.partition
        )
    except (TypeError, ValueError, AssertionError, struct.error) as error:
        raise Unwritable(f"no record for {out.topic} can be made of it: {error!r}") from error


def _cause(answers: Sequence[Outgoing], sent: Sequence[Any]) -> KafkaError | None:
    """Why the first answer was refused; those after it are told of an error state only."""
    for out, future in zip(answers, sent, strict=False):
        why = future.exception if future.failed() else None
        if isinstance(why, (*REFUSED, *UNAVAILABLE)):
            size = len(out.value or b"")
            said = f": {why.args[0]}" if why.args and why.args[0] else ""
            return type(why)(f"{out.topic} does not take the record of {size} bytes{said}")
    return None
