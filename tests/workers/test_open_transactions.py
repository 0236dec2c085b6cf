"""A producer that leaves its transaction open holds others up: it is seen, and ends in time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from pipeline.lag import Lag
from pipeline.settings import Settings
from pipeline.topics import RAW_PREFIX, create_topics
from tests.waiting import until
from workers.checks.topics import check_topics
from workers.local.cluster import Cluster
from workers.status import print_status

pytestmark = pytest.mark.servers
RAW = f"{RAW_PREFIX}weathervane"


@pytest.fixture
def settings(kafka: str, redis_url: str) -> Settings:
    made = Settings(kafka=kafka, redis=redis_url, partitions=3)
    create_topics(made)
    return made


@contextmanager
def foreign(kafka: str, **options: str) -> Iterator[Producer]:
    """Another's producer in a transaction."""
    name = f"foreign-{uuid4().hex[:8]}"
    made = Producer({"bootstrap.servers": kafka, "transactional.id": name} | options)
    made.init_transactions(30)
    made.begin_transaction()
    try:
        yield made
    finally:
        made.abort_transaction(30)


def ingested(settings: Settings) -> None:
    """Let ingest have read all that partition 0 has."""
    place = TopicPartition(RAW, 0)
    member = Consumer({"bootstrap.servers": settings.kafka, "group.id": "ingest"})
    try:
        end = member.get_watermark_offsets(place, timeout=30)[1]
        member.commit(offsets=[TopicPartition(RAW, 0, end)], asynchronous=False)
    finally:
        member.close()


def test_what_an_open_transaction_holds_up_is_counted_and_named(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ingested(settings)
    place = f"{RAW}-0"
    said = f"4 records wait behind an open transaction of another producer in {place}"
    with closing(Lag(settings)) as lag:
        assert lag.held() == {}
        before = lag.read()
        already = before.stages["ingest"].records
        with foreign(settings.kafka) as sink:
            sink.produce(RAW, b"{}", partition=0)
            assert sink.flush(30) == 0
            plain = Producer({"bootstrap.servers": settings.kafka})
            for _ in range(3):
                plain.produce(RAW, b"{}", partition=0)
            assert plain.flush(30) == 0
            assert lag.read().stages["ingest"].records == already + 4
            assert lag.read().ends == before.ends
            assert {f"{p.topic}-{p.partition}": n for p, n in lag.held().items()} == {place: 4}
            warnings = [found.text for found in check_topics(settings) if found.level == "warning"]
            assert [text for text in warnings if said in text] == [
                f"{said}: it has to commit or to end"
            ]
            local = Cluster(tmp_path / "home", kafka=settings.kafka, redis=settings.redis)
            print_status(local, settings, as_json=False)
            assert f"ingest: {said}" in capsys.readouterr().out
        until(lambda: lag.held() == {}, "nothing is held up any more")
        assert not any("open transaction" in found.text for found in check_topics(settings))
        ingested(settings)
        assert lag.read().stages["ingest"].records == already


def test_transactions_that_end_hold_nobody_up(settings: Settings) -> None:
    with foreign(settings.kafka) as sink, closing(Lag(settings)) as lag:
        sink.produce(RAW, b"{}", partition=0)
        assert sink.flush(30) == 0
        sink.commit_transaction(30)
        sink.begin_transaction()
        assert lag.held() == {}


def test_no_producer_may_leave_one_open_for_long(kafka: str) -> None:
    with (
        pytest.raises(KafkaException, match="timeout"),
        foreign(kafka, **{"transaction.timeout.ms": "120000"}),
    ):
        pass
