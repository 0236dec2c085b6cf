"""Records that cannot be answered as they are: one never stops a partition, nor one the others."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from confluent_kafka import Producer
from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import NewTopic

from pipeline.batches import HeaderKey
from pipeline.clients import consumer, producer
from pipeline.delivery import Delivery, Transform
from pipeline.headers import header
from pipeline.records import ERROR_HEADERS, Outgoing, Record
from pipeline.settings import Settings, load_settings
from pipeline.telemetry import Telemetry
from pipeline.topics import TopicMissing, provide
from pipeline.transactions import transact
from tests.waiting import until

pytestmark = pytest.mark.servers
RECORDS, PARTITIONS = 90, 3


class Line:
    """Three partitions of input, an output and a dead-letter topic, and the loop between them."""

    def __init__(self, kafka: str) -> None:
        self.kafka = kafka
        self.name = f"arrivals-{uuid4().hex[:8]}"
        self.settings: Settings = load_settings(kafka=kafka, name="one", batch_records=50)
        self.telemetry = Telemetry("test")
        self.create(f"{self.name}.in", PARTITIONS)
        self.create(f"{self.name}.out", PARTITIONS, "10000")

    def create(self, topic: str, partitions: int = 1, largest: str = "2100000") -> None:
        with closing(KafkaAdminClient(**self.settings.kafka_options())) as admin:
            limit = {"max.message.bytes": largest}
            admin.create_topics([NewTopic(topic, partitions, 1, topic_configs=limit)])

    def fill(self, **odd: bytes) -> None:
        """Record n in partition n % 3; those named by `at_<n>` have another value."""
        values = {int(name.removeprefix("at_")): value for name, value in odd.items()}
        sink = Producer({"bootstrap.servers": self.kafka})
        for number in range(RECORDS):
            value = values.get(number, b"%d" % number)
            sink.produce(
                f"{self.name}.in", value, b"%d" % number, number % PARTITIONS, headers=[("h", None)]
            )
        assert sink.flush(30) == 0

    def answer(self, record: Record) -> Outgoing:
        size = 20_000 if record.value == b"large" else 10
        value = (record.key or b"") + b" " + os.urandom(size)
        return Outgoing(f"{self.name}.out", record.key, value, list(record.headers))

    def transform(self, records: Sequence[Record]) -> list[Outgoing]:
        return [self.answer(record) for record in records]

    @contextmanager
    def running(self, transform: Transform, **options: Any) -> Iterator[None]:
        """The loop in a thread. Unlike a worker it is not started again: it must go on."""
        stop = threading.Event()
        failed: list[BaseException] = []

        def work() -> None:
            try:
                with (
                    closing(consumer(self.settings, self.name)) as source,
                    closing(producer(self.settings, self.name)) as sink,
                ):
                    source.subscribe([f"{self.name}.in"])
                    Delivery(source, sink, transform, self.telemetry, 0.1, **options).run(stop)
            except BaseException as error:  # noqa: BLE001 (the test raises it)
                failed.append(error)

        thread = threading.Thread(target=work)
        self.telemetry.ready(True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(60)
        assert not thread.is_alive()
        assert not failed, failed

    def read(self, end: str) -> list[Record]:
        topic = f"{self.name}.{end}"
        with closing(consumer(self.settings, None)) as source:
            places = [TopicPartition(topic, n) for n in source.partitions_for_topic(topic) or ()]
            source.assign(places)
            source.seek_to_beginning(*places)
            ends = source.end_offsets(places)
            found: list[Record] = []
            while any(source.position(place) < at for place, at in ends.items()):
                for batch in source.poll(timeout_ms=200).values():
                    found += batch
            return found

    def keys(self, end: str) -> list[int]:
        return sorted(int(record.key or b"-1") for record in self.read(end))

    def has(self, count: int, end: str = "out") -> bool:
        return len(self.read(end)) >= count

    def metric(self, name: str) -> float:
        found = self.telemetry.registry.get_sample_value(f"weathervane_{name}", {"stage": "test"})
        return found or 0.0


@pytest.fixture
def line(kafka: str) -> Line:
    return Line(kafka)


def said(letter: Record, name: str) -> str:
    return (header(letter.headers, ERROR_HEADERS + name) or b"").decode()


def test_an_answer_that_its_topic_does_not_take_costs_its_record(line: Line) -> None:
    line.create(f"{line.name}.in.dlq")
    line.fill(at_10=b"large", at_11=b"large", at_58=b"large")
    with line.running(line.transform):
        until(lambda: line.has(RECORDS - 3) and line.has(3, "in.dlq"), "all are answered", 60)
    bad = [10, 11, 58]
    assert line.keys("out") == [n for n in range(RECORDS) if n not in bad]
    assert line.keys("in.dlq") == bad
    for letter in line.read("in.dlq"):
        assert letter.value == b"large"
        assert header(letter.headers[:1], "h") is None
        assert said(letter, "exception.class.name") == "MessageSizeTooLargeError"
        assert f"{line.name}.out does not take the record of 20003 bytes" in said(
            letter, "exception.message"
        )
    assert 0 < line.metric("aborted_transactions_total") < 60


def test_a_dead_letter_is_cut_until_its_topic_takes_it(line: Line) -> None:
    line.create(f"{line.name}.in.dlq", largest="2000")

    def transform(records: Sequence[Record]) -> list[Outgoing]:
        return [
            Outgoing(f"{record.topic}.dlq", record.key, os.urandom(50_000), [])
            if record.value == b"large"
            else line.answer(record)
            for record in records
        ]

    line.fill(at_10=b"large")
    with line.running(transform):
        until(lambda: line.has(RECORDS - 1) and line.has(1, "in.dlq"), "all are answered", 60)
    [letter] = line.read("in.dlq")
    assert letter.key == b"10"
    assert len(letter.value or b"") < 2000
    assert said(letter, "cut") == "value (50000 bytes)"


def test_a_record_on_which_the_transform_fails_costs_itself(line: Line) -> None:
    line.create(f"{line.name}.in.dlq")

    def transform(records: Sequence[Record]) -> list[Outgoing]:
        assert all(record.value != b"odd" for record in records), "nobody thought of this"
        return line.transform(records)

    line.fill(at_0=b"odd", at_44=b"odd", at_89=b"odd")
    with line.running(transform):
        until(lambda: line.has(RECORDS - 3) and line.has(3, "in.dlq"), "all are answered", 60)
    assert line.keys("in.dlq") == [0, 44, 89]
    assert "nobody thought of this" in said(line.read("in.dlq")[0], "exception.message")


def test_a_missing_topic_holds_the_partitions_that_need_it_and_no_other(line: Line) -> None:
    def needed(topic: str) -> None:
        with closing(KafkaAdminClient(**line.settings.kafka_options())) as admin:
            if topic not in admin.list_topics():
                raise TopicMissing(f"the topic {topic} does not exist")

    line.fill(at_31=b"large")  # in partition 1, the eleventh of thirty
    with line.running(line.transform, provide=needed):
        until(lambda: line.has(2 * RECORDS // 3 + 10), "the others go on", 60)
        until(lambda: line.metric("waiting_partitions") == 1, "one waits", 30)
        ready, why = line.telemetry.readiness()
        assert not ready
        assert f"{line.name}.in-1 waits at 10: " in why
        assert f"the topic {line.name}.in.dlq does not exist" in why
        line.create(f"{line.name}.in.dlq")
        until(lambda: line.has(RECORDS - 1) and line.has(1, "in.dlq"), "all are answered", 60)
        until(lambda: line.telemetry.readiness()[0], "it is ready", 30)
    assert line.keys("out") == [n for n in range(RECORDS) if n != 31]
    assert line.keys("in.dlq") == [31]


def test_a_topic_of_ours_that_is_missing_is_created(kafka: str) -> None:
    settings = load_settings(kafka=kafka, name="provided")
    provide(settings, "posts.raw.mastodon.dlq")
    with closing(KafkaAdminClient(**settings.kafka_options())) as admin:
        assert "posts.raw.mastodon.dlq" in admin.list_topics()
    with pytest.raises(TopicMissing, match=r"posts\.raw\.myspace\.dlq does not exist"):
        provide(settings, "posts.raw.myspace.dlq")


def test_a_transaction_after_one_that_was_refused_is_whole(line: Line) -> None:
    """The sequence numbers of the refused batch are not missed."""
    place = TopicPartition(f"{line.name}.in", 0)
    out = f"{line.name}.out"
    with (
        closing(consumer(line.settings, line.name)) as source,
        closing(producer(line.settings, line.name)) as sink,
    ):
        source.subscribe([place.topic])
        until(lambda: source.poll(timeout_ms=50) or source.assignment(), "it is a member", 60)
        sink.init_transactions()
        member = source.group_metadata()
        commit = partial(transact, offsets={}, group=member)
        for attempt in range(5):
            good = [Outgoing(out, b"k", b"%d" % attempt, [], partition=0)]
            commit(sink, good)
            with pytest.raises(Exception, match="does not take the record of 20000 bytes"):
                commit(sink, [*good, Outgoing(out, b"k", os.urandom(20_000), [], partition=0)])
            sink.abort_transaction()
    assert [record.value for record in line.read("out")] == [b"%d" % n for n in range(5)]


def test_nulls_and_odd_names_of_headers_are_written_as_they_were_read(line: Line) -> None:
    headers = [("a", None), ("a", b""), (HeaderKey(b"\xff"), None), ("", b"x"), ("a", b"1")]
    out = f"{line.name}.out"
    with closing(producer(line.settings)) as sink:
        sink.send(out, headers=headers, partition=0).get(30)
        # More than one batch takes, so that kafka-python splits it and writes it once more.
        for _ in range(30):
            sink.send(out, value=os.urandom(600), headers=headers, partition=1)
        sink.flush(30)
    found = line.read("out")
    assert [record.value is None and record.key is None for record in found].count(True) == 1
    assert len(found) == 31
    for record in found:
        assert [(n.encode(), v) for n, v in record.headers] == [(n.encode(), v) for n, v in headers]
