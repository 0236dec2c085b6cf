"""Where the stages stand, asked of a real Kafka."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka import TopicPartition as Place

from pipeline.settings import Settings
from pipeline.topics import POSTS, SENTIMENT
from tests.waiting import until
from tests.workers.monitoring import Monitoring
from workers.monitor.upstream import Upstream

pytestmark = pytest.mark.servers


def waiting(upstream: Upstream, stage: int) -> set[int] | None:
    """Partitions of a stage with something that its reader has not done."""
    look = upstream.look()
    if look is None:
        return None
    found = look.stages[stage]
    return {place.partition for place, end in found.ends.items() if found.done[place] < end}


@pytest.fixture
def upstream(kafka: str, redis_url: str, tmp_path: Path) -> Iterator[Upstream]:
    servers = Monitoring(kafka, redis_url, tmp_path)
    servers.clean()
    with closing(Upstream(Settings(kafka=kafka, name="monitor-1"), "monitor-combine")) as made:
        yield made
    servers.clean()


def test_a_post_in_an_open_transaction_is_on_its_way(upstream: Upstream, kafka: str) -> None:
    until(lambda: waiting(upstream, 2) == set(), "Kafka knows of groups", 60)
    producer = Producer({"bootstrap.servers": kafka, "transactional.id": "infer-test"})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(SENTIMENT, b"an event", partition=1)
    assert producer.flush(30) == 0
    assert waiting(upstream, 2) == {1}
    producer.commit_transaction(30)
    assert waiting(upstream, 2) == {1}, "it is committed, and was not read"


def test_what_a_reader_has_committed_is_done(upstream: Upstream, kafka: str) -> None:
    until(lambda: waiting(upstream, 1) == set(), "Kafka knows of groups", 60)
    producer = Producer({"bootstrap.servers": kafka})
    for partition in (3, 4):
        producer.produce(POSTS, b"a post", partition=partition)
    assert producer.flush(30) == 0
    assert waiting(upstream, 1) == {3, 4}
    assert waiting(upstream, 0) == set()
    reader = Consumer({"bootstrap.servers": kafka, "group.id": "infer"})
    reader.commit(offsets=[Place(POSTS, 3, 1)], asynchronous=False)
    reader.close()
    until(lambda: waiting(upstream, 1) == {4}, "one is done, while the group first commits", 60)


def test_that_kafka_does_not_say_is_known(upstream: Upstream) -> None:
    upstream.close()
    assert upstream.look() is None
