"""The lag of the stages, asked of a real Kafka while groups come up."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from kafka.errors import KafkaError

from pipeline.lag import STAGES, Lag
from pipeline.settings import Settings
from pipeline.topics import POSTS, create_topics
from tests.waiting import until

pytestmark = pytest.mark.servers


@pytest.fixture
def lag(kafka: str) -> Iterator[Lag]:
    settings = Settings(kafka=kafka, partitions=3)
    create_topics(settings)
    with closing(Lag(settings)) as made:
        until(lambda: is_read(made), "Kafka knows of groups", 60)
        yield made


def is_read(lag: Lag) -> bool:
    """A broker makes the topic of the groups when it is first asked for one."""
    try:
        return lag.read() is not None
    except KafkaError:
        return False


def waiting(lag: Lag, stage: str) -> int:
    """Records that wait in front of a stage; -1 for one that never ran."""
    found = lag.read().stages.get(stage)
    return -1 if found is None else found.records


def test_all_waits_for_a_group_that_joined_and_committed_nothing(lag: Lag, kafka: str) -> None:
    before = lag.read()
    groups = {group["group_id"] for group in lag._admin.list_groups()}
    assert set(before.stages) == {stage for stage, (group, _) in STAGES.items() if group in groups}
    producer = Producer({"bootstrap.servers": kafka})
    for number in range(30):
        producer.produce(POSTS, b"a post", key=str(number))
    assert producer.flush(30) == 0
    options = {
        "bootstrap.servers": kafka,
        "group.id": "infer",
        "client.id": uuid.uuid4().hex,
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        "isolation.level": "read_committed",
    }
    member = Consumer(options)
    try:
        member.subscribe([POSTS])
        read: list[Any] = []

        def joined() -> bool:
            message = member.poll(0.2)
            read.extend([message] if message is not None and message.error() is None else [])
            return bool(read)

        until(joined, "the group reads", 40)
        # Members and no offsets yet: this is where the lag stood still for good.
        until(lambda: waiting(lag, "infer") >= 30, "all posts wait", 20)
        all_of_them = waiting(lag, "infer")
        first = read[0].partition(), read[0].offset()
        place = TopicPartition(POSTS, first[0], first[1] + 1)
        member.commit(offsets=[place], asynchronous=False)
        # The other partitions have no offset, and wait as before.
        assert waiting(lag, "infer") == all_of_them - 1 - first[1]
        ends = [
            TopicPartition(POSTS, n, member.get_watermark_offsets(TopicPartition(POSTS, n))[1])
            for n in range(3)
        ]
        member.commit(offsets=ends, asynchronous=False)
        assert waiting(lag, "infer") == 0
    finally:
        member.close()
    assert set(before.ends) == {0, 1, 2}


def test_the_monitor_is_a_stage(lag: Lag, kafka: str) -> None:
    member = Consumer({"bootstrap.servers": kafka, "group.id": "monitor-combine"})
    try:
        member.commit(offsets=[TopicPartition("sentiment", 0, 0)], asynchronous=False)
        assert waiting(lag, "monitor") == sum(lag.read().ends.values())
    finally:
        member.close()
