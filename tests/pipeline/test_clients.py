"""Consumers as the workers make them, on a real Kafka."""

from __future__ import annotations

import os
import threading
from contextlib import closing

import pytest
from kafka import KafkaAdminClient
from kafka.admin import NewPartitions, NewTopic
from kafka.errors import KafkaError

from pipeline.clients import consumer, producer
from pipeline.settings import load_settings
from tests.waiting import until

pytestmark = pytest.mark.servers
_LIMIT = "max.message.bytes"


@pytest.mark.parametrize("poll_ms", [5, 20])
def test_a_member_takes_new_partitions_however_short_its_polls_are(
    kafka: str, poll_ms: int
) -> None:
    settings = load_settings(kafka=kafka, name="short")
    topic = f"short-polls-{poll_ms}"
    admin = KafkaAdminClient(**settings.kafka_options())
    admin.create_topics([NewTopic(topic, 1, 1)])
    with closing(consumer(settings, topic, metadata_max_age_ms=200)) as source:
        source.subscribe([topic])

        def has(count: int) -> bool:
            source.poll(timeout_ms=poll_ms)
            return len(source.assignment()) == count

        for count in range(1, 6):
            if count > 1:
                admin.create_partitions({topic: NewPartitions(count)})
            until(lambda count=count: has(count), f"{count} partitions are assigned", 60)
    admin.close()


def test_a_commit_ends_where_records_are_refused(kafka: str) -> None:
    settings = load_settings(kafka=kafka, name="refused")
    topics = [NewTopic("fine", 1, 1), NewTopic("small", 1, 1, topic_configs={_LIMIT: "150"})]
    admin = KafkaAdminClient(**settings.kafka_options())
    admin.create_topics(topics)
    admin.close()
    raised: list[KafkaError] = []

    def transact() -> None:
        with closing(producer(settings, "refused")) as sink:
            sink.init_transactions()
            try:
                sink.begin_transaction()
                sink.send("fine", value=b"x")
                for _ in range(5):
                    sink.send("small", value=os.urandom(400))
                sink.commit_transaction()
            except KafkaError as error:
                raised.append(error)
                sink.abort_transaction()

    thread = threading.Thread(target=transact, daemon=True)
    thread.start()
    thread.join(30)
    assert not thread.is_alive(), "the transaction does not end"
    assert raised
