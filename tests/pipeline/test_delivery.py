"""The delivery loop on a real Kafka, with transforms that are slow, partial, or fail."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from uuid import uuid4

import pytest
from confluent_kafka.admin import AdminClient
from kafka import KafkaAdminClient
from kafka.admin import NewTopic
from kafka.errors import KafkaError

from pipeline.clients import consumer, producer
from pipeline.delivery import Delivery, Prefix, Transform
from pipeline.reading import until_ends
from pipeline.records import Outgoing, Record
from pipeline.settings import Settings, load_settings
from pipeline.telemetry import Telemetry
from tests.waiting import until

pytestmark = pytest.mark.servers
RECORDS = 300


class Bench:
    """An input and an output topic of its own, and what comes out."""

    def __init__(self, kafka: str, records: int = RECORDS) -> None:
        self.name = f"delivery-{uuid4().hex[:8]}"
        self.settings: Settings = load_settings(kafka=kafka, name="one", batch_records=50)
        self.telemetry = Telemetry("test")
        self.records = records
        self._admin = AdminClient({"bootstrap.servers": kafka})
        with closing(KafkaAdminClient(**self.settings.kafka_options())) as admin:
            small = {"max.message.bytes": "10000"}
            names = [f"{self.name}.{end}" for end in ("in", "out")]
            admin.create_topics([NewTopic(name, 3, 1, topic_configs=small) for name in names])
        with closing(producer(self.settings)) as sink:
            for number in range(records):
                sink.send(f"{self.name}.in", key=b"%d" % (number % 30), value=b"%d" % number)

    def answer(self, record: Record) -> Outgoing:
        return Outgoing(f"{self.name}.out", record.key, record.value, [])

    @contextmanager
    def running(self, transform: Transform, **options: object) -> Iterator[None]:
        stop = threading.Event()
        failed: list[BaseException] = []

        def work() -> None:
            while not stop.is_set():
                try:
                    with (
                        closing(consumer(self.settings, self.name, **options)) as source,
                        closing(producer(self.settings, self.name)) as sink,
                    ):
                        source.subscribe([f"{self.name}.in"])
                        Delivery(source, sink, transform, self.telemetry, 0.1).run(stop)
                except KafkaError:
                    # A worker that cannot go on ends, and its supervisor starts it again. After
                    # an abort kafka-python 3.0.12 may end the next transaction on its own, and
                    # then refuses to be told to.
                    continue
                except BaseException as error:  # noqa: BLE001 (the test raises it)
                    failed.append(error)
                    return

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(60)
        assert not thread.is_alive()
        assert not failed, failed

    def out(self) -> list[Record]:
        with closing(consumer(self.settings, None)) as source:
            from kafka import TopicPartition

            places = [TopicPartition(f"{self.name}.out", number) for number in range(3)]
            source.assign(places)
            source.seek_to_beginning(*places)
            return [r for batch in until_ends(source, source.end_offsets(places)) for r in batch]

    def complete(self) -> bool:
        return len(self.out()) >= self.records

    def hold_all_once_in_order(self) -> None:
        """Each record came out once, those of a key in their order."""
        values: dict[bytes, list[int]] = {}
        for record in self.out():
            values.setdefault(record.key or b"", []).append(int(record.value or b""))
        assert sum(map(len, values.values())) == self.records
        for key, numbers in values.items():
            assert numbers == list(range(int(key), self.records, 30))


@pytest.fixture
def bench(kafka: str) -> Bench:
    return Bench(kafka)


def test_a_transform_slower_than_the_longest_poll_interval_evicts_nobody(bench: Bench) -> None:
    slow = 12.0

    def transform(records: Sequence[Record]) -> list[Outgoing]:
        nonlocal slow
        time.sleep(slow)
        slow = 0.0
        return [bench.answer(record) for record in records]

    with bench.running(transform, max_poll_interval_ms=7000, session_timeout_ms=6000):
        until(bench.complete, "all records came out", 90)
    bench.hold_all_once_in_order()
    repeated = bench.telemetry.registry.get_sample_value(
        "weathervane_records_total", {"stage": "test", "outcome": "repeated"}
    )
    assert repeated is None, "it was evicted, and its transaction refused"


def test_what_a_transform_leaves_is_asked_again(bench: Bench) -> None:
    def transform(records: Sequence[Record]) -> Prefix:
        handled = max(1, len(records) // 3)
        return Prefix([bench.answer(record) for record in records[:handled]], handled)

    with bench.running(transform):
        until(bench.complete, "all records came out", 90)
    bench.hold_all_once_in_order()


def test_records_of_a_transaction_that_fails_are_read_again(bench: Bench) -> None:
    refused = threading.Event()

    def transform(records: Sequence[Record]) -> list[Outgoing]:
        answers = [bench.answer(record) for record in records]
        if not refused.is_set() and any(record.value == b"250" for record in records):
            refused.set()
            # Larger than the topic takes: the transaction is aborted, also what follows it.
            answers.append(Outgoing(f"{bench.name}.out", b"0", os.urandom(20_000), []))
        return answers

    with bench.running(transform):
        until(lambda: refused.is_set() and bench.complete(), "all records came out", 90)
    bench.hold_all_once_in_order()
