"""Whether posts are on their way, asked of a real Kafka."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from confluent_kafka import Producer
from kafka.errors import KafkaTimeoutError

from pipeline.settings import Settings
from pipeline.topics import POSTS, SENTIMENT
from tests.waiting import until
from tests.workers.monitoring import Monitoring
from workers.monitor.upstream import Upstream

pytestmark = pytest.mark.servers
READ = {0: 0, 1: 0}


@pytest.fixture
def upstream(kafka: str, redis_url: str, tmp_path: Path) -> Iterator[Upstream]:
    servers = Monitoring(kafka, redis_url, tmp_path)
    servers.clean()
    with closing(Upstream(Settings(kafka=kafka, name="monitor-1"), "monitor-combine")) as made:
        yield made
    servers.clean()


def test_a_post_in_an_open_transaction_is_on_its_way(upstream: Upstream, kafka: str) -> None:
    until(lambda: upstream.waiting(READ) == set(), "Kafka knows of groups", 60)
    producer = Producer({"bootstrap.servers": kafka, "transactional.id": "infer-test"})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(SENTIMENT, b"an event", partition=1)
    assert producer.flush(30) == 0
    assert upstream.waiting(READ) == {1}
    producer.commit_transaction(30)
    assert upstream.waiting(READ) == {1}, "it is committed, and was not read"
    until(lambda: upstream.waiting({0: 0, 1: 1}) == set(), "only its marker is left")


def test_a_post_that_was_not_scored_holds_every_partition(upstream: Upstream, kafka: str) -> None:
    until(lambda: upstream.waiting(READ) == set(), "Kafka knows of groups", 60)
    producer = Producer({"bootstrap.servers": kafka})
    producer.produce(POSTS, b"a post", partition=3)
    assert producer.flush(30) == 0
    assert upstream.waiting(READ) == {0, 1}


@pytest.mark.parametrize("error", [KeyError("sentiment"), ValueError("no"), KafkaTimeoutError()])
def test_whatever_the_client_raises_posts_may_be_on_their_way(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    until(lambda: upstream.waiting(READ) == set(), "Kafka knows of groups", 60)

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(upstream._consumer, "end_offsets", fail)
    assert upstream.waiting(READ) == {0, 1}
    monkeypatch.undo()
    assert upstream.waiting(READ) == set()
