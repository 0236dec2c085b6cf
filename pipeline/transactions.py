"""One Kafka transaction: records, and the offsets that they answer."""

from __future__ import annotations

from collections.abc import Sequence

from kafka import ConsumerGroupMetadata, KafkaProducer, TopicPartition
from kafka.errors import KafkaError
from kafka.structs import OffsetAndMetadata

from pipeline.records import Outgoing

FLUSH_SECONDS = 20.0
"""Shorter than the time-out of a transaction (30 s), after which the broker ends it by itself."""


def transact(
    producer: KafkaProducer,
    answers: Sequence[Outgoing],
    offsets: dict[TopicPartition, OffsetAndMetadata],
    group: ConsumerGroupMetadata,
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
