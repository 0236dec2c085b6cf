"""Consumers as the workers make them, on a real Kafka."""

from __future__ import annotations

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.admin import NewPartitions, NewTopic
from kafka.errors import KafkaError
from kafka.structs import OffsetAndMetadata

from pipeline.clients import consumer, membership, producer
from pipeline.settings import load_settings
from pipeline.transactions import transact
from tests.waiting import until
from workers.local.cluster import Cluster

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
            until(partial(has, count), f"{count} partitions are assigned", 60)
    admin.close()


def test_a_join_that_ends_between_two_polls_is_taken_up(
    kafka: str, caplog: pytest.LogCaptureFixture
) -> None:
    settings, topic = load_settings(kafka=kafka, name="brief"), "brief"
    with closing(KafkaAdminClient(**settings.kafka_options())) as admin:
        admin.create_topics([NewTopic(topic, 1, 1)])
    with closing(consumer(settings, topic)) as source, caplog.at_level("INFO", "kafka.coordinator"):
        source.subscribe([topic])

        def said(words: str) -> int:
            return sum(record.getMessage().startswith(words) for record in caplog.records)

        def waits() -> int:
            return said("Successfully joined") - said("Cooperative rebalance complete")

        def ended() -> bool:
            task = source._coordinator._join_task
            if task is None or (task.is_done and not waits()):
                source.poll(timeout_ms=0)
            return task is not None and task.is_done and waits() > 0

        until(ended, "a join has ended while nobody polled", 60)
        until(lambda: source.poll(timeout_ms=50) or source.assignment(), "it was taken up", 60)
        assert waits() == 0


def test_a_member_that_hears_nothing_says_so(kafka: str) -> None:
    settings, topic = load_settings(kafka=kafka, name="deaf"), "deaf"
    with closing(KafkaAdminClient(**settings.kafka_options())) as admin:
        admin.create_topics([NewTopic(topic, 1, 1)])
    with closing(consumer(settings, topic)) as source:
        source.subscribe([topic])
        assert membership(source) == (False, "it has not joined its group yet")

        def joined() -> bool:
            source.poll(timeout_ms=50)
            return membership(source)[0]

        until(joined, "it is a member", 60)
        source._coordinator._disable_heartbeat()
        until(lambda: not membership(source)[0], "it misses the heartbeats", 30)
        assert membership(source)[1].startswith("Kafka has not answered for 1")


def test_a_member_that_was_evicted_reads_on_where_the_others_are(kafka: str) -> None:
    group = topic = "evicted"
    here, there = (load_settings(kafka=kafka, name=name) for name in ("here", "there"))
    with closing(KafkaAdminClient(**here.kafka_options())) as admin:
        admin.create_topics([NewTopic(topic, 2, 1)])
    places = [TopicPartition(topic, number) for number in range(2)]
    with closing(producer(here)) as sink:
        for place in places:
            for _ in range(99):
                sink.send(topic, value=b"x", partition=place.partition)
    with (
        closing(consumer(here, group, session_timeout_ms=6000)) as one,
        closing(consumer(there, group, session_timeout_ms=6000)) as other,
    ):

        def read(source: KafkaConsumer) -> bool:
            source.poll(timeout_ms=50)
            return source.assignment() == set(places) and all(
                source.position(place) == 99 for place in places
            )

        one.subscribe([topic])
        until(lambda: read(one), "it has read all", 60)
        one._coordinator._disable_heartbeat()
        other.subscribe([topic])
        until(lambda: read(other), "it was evicted, and another has read all", 60)
        other.commit({place: _offset(40) for place in places})
        # As a member does that finds the group rebalanced before it finds itself evicted.
        one._coordinator.request_rejoin()

        def shared() -> bool:
            for source in (one, other):
                source.poll(timeout_ms=50, max_records=1)
            return bool(one.assignment()) and not one.assignment() & other.assignment()

        until(shared, "they share the partitions", 60)
        # By a record a poll while they joined.
        assert all(40 <= one.position(place) < 99 for place in one.assignment())


def test_offsets_that_were_refused_stay_out_of_the_next_transaction(kafka: str) -> None:
    group = topic = "refused-offsets"
    settings = load_settings(kafka=kafka, name="one")
    with closing(KafkaAdminClient(**settings.kafka_options())) as admin:
        admin.create_topics([NewTopic(topic, 2, 1)])
    lost, held = (TopicPartition(topic, number) for number in range(2))
    with (
        closing(consumer(settings, group)) as source,
        closing(producer(settings, topic)) as sink,
    ):
        source.subscribe([topic])
        until(lambda: source.poll(timeout_ms=50) or source.assignment(), "it is a member", 60)
        member = source.group_metadata()
        sink.init_transactions()
        with pytest.raises(KafkaError, match="FencedInstanceId"):
            transact(sink, (), {lost: _offset(3)}, member._replace(member_id="nobody"))
        sink.abort_transaction()
        transact(sink, (), {held: _offset(5)}, member)
        assert source.committed(held) == 5
        assert source.committed(lost) is None


def _offset(at: int) -> OffsetAndMetadata:
    return OffsetAndMetadata(at, "", -1)


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


def test_a_partition_that_was_paused_is_read_on_where_no_other_is(kafka: str) -> None:
    settings, topic = load_settings(kafka=kafka, name="paused"), "paused"
    with closing(KafkaAdminClient(**settings.kafka_options())) as admin:
        admin.create_topics([NewTopic(topic, 2, 1)])
    first, second = (TopicPartition(topic, number) for number in range(2))
    with closing(producer(settings)) as sink:
        for number in range(20):
            sink.send(topic, value=b"x", partition=number % 2)
    with closing(consumer(settings, None, max_poll_records=5)) as source:
        source.assign([first, second])
        got: dict[TopicPartition, int] = {first: 0, second: 0}

        def read(most: int) -> int:
            for place, batch in source.poll(timeout_ms=50, max_records=most).items():
                got[place] += len(batch)
            return sum(got.values())

        until(lambda: read(1), "something of either was read")
        one = first if got[first] else second
        other = second if one == first else first
        source.pause(one)
        until(lambda: read(5) and got[other] == 10, "the other was read to its end")
        source.pause(other)
        source.resume(one)
        until(lambda: read(5) and got[one] == 10, "the rest of it was read")


def test_a_transaction_outlives_a_broker_that_hangs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cluster = Cluster(tmp_path)
    cluster.up(
        workers=lambda endpoints: [],
        prepare=lambda endpoints: None,
        environment=lambda endpoints: {},
        attached=True,
    )
    try:
        settings = load_settings(kafka=cluster.endpoints().kafka, name="patient")
        broker = cluster.status()["workers"]["kafka"]["pid"]
        place, group = TopicPartition("hung", 0), "hung"
        with closing(KafkaAdminClient(**settings.kafka_options())) as admin:
            admin.create_topics([NewTopic("hung", 1, 1)])
        with (
            closing(producer(settings, "hung")) as sink,
            closing(consumer(settings, group)) as source,
            ThreadPoolExecutor(1) as pool,
        ):
            sink.init_transactions()
            sink.begin_transaction()
            sink.send("hung", value=b"x").get(timeout=30)
            for connection in sink._sender._client._manager._conns.values():
                connection._timeout_secs = 1.0
            os.kill(broker, signal.SIGSTOP)
            try:
                with caplog.at_level("WARNING", "kafka"):
                    sent = pool.submit(sink.send_offsets_to_transaction, {place: _offset(7)}, group)
                    until(lambda: "Request timed out after" in caplog.text, "it waits no longer")
            finally:
                os.kill(broker, signal.SIGCONT)
            sent.result(60)
            sink.commit_transaction()
            assert source.committed(place) == 7
    finally:
        cluster.down()
