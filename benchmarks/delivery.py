"""What exactness costs: the delivery loop with transactions against the same loop without them.

The model is a stub (each record is answered by itself), so that nothing hides the delivery. The
plain loop produces, waits for the acknowledgements, and commits its offsets: at least once.
"""

from __future__ import annotations

import itertools
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.admin import NewTopic
from rich.console import Console

from benchmarks.harness import compare, report
from pipeline.clients import consumer, producer
from pipeline.delivery import Delivery
from pipeline.records import Outgoing, Record
from pipeline.settings import Settings, load_settings
from pipeline.telemetry import Telemetry
from workers.local.cluster import Cluster

RECORDS = 20_000
SIZE = 600
"""Bytes of a record."""
PARTITIONS = 6
LATENCY_RECORDS = 400
_numbers = itertools.count()


def main() -> None:
    """Print the table and the latency, with a Kafka of its own."""
    with tempfile.TemporaryDirectory() as folder:
        cluster = Cluster(Path(folder), redis="redis://127.0.0.1:1/0")
        cluster.up(lambda _: [], lambda _: None, lambda _: {}, attached=True)
        try:
            settings = load_settings(kafka=cluster.endpoints().kafka, name="bench")
            topics = [NewTopic(name, PARTITIONS, 1) for name in ("bench.in", "bench.out")]
            with closing(KafkaAdminClient(**settings.kafka_options())) as admin:
                admin.create_topics(topics)
            measure(settings)
        finally:
            cluster.down()


def measure(settings: Settings) -> None:
    """Throughput of both, then the latency of the exact one at half of its rate."""
    _fill(settings, RECORDS)
    candidates = {
        "transactions": lambda: _drain(settings, _transactional),
        "at least once": lambda: _drain(settings, _plain),
    }
    results = compare(candidates, clock=time.perf_counter)
    report("delivery", "records", results, "transactions")
    rate = results[0].per_second / 2
    p50, p99 = _latency(settings, min(rate, 500))
    Console().print(f"from produce to result, {min(rate, 500):.0f} a second: ", end="")
    Console().print(f"p50 {p50 * 1000:.0f} ms, p99 {p99 * 1000:.0f} ms")


def _fill(settings: Settings, count: int) -> None:
    with closing(producer(settings)) as sink:
        for number in range(count):
            sink.send("bench.in", key=b"%d" % number, value=b"x" * SIZE)
        sink.flush()


def _echo(records: Sequence[Record]) -> list[Outgoing]:
    return [Outgoing("bench.out", r.key, r.value, r.headers) for r in records]


def _transactional(settings: Settings, source: KafkaConsumer, stop: Callable[[int], bool]) -> None:
    done = threading.Event()

    def transform(records: Sequence[Record]) -> list[Outgoing]:
        if stop(len(records)):
            done.set()
        return _echo(records)

    with closing(producer(settings, f"bench-{next(_numbers)}")) as sink:
        Delivery(source, sink, transform, Telemetry("bench"), 0.2).run(done)


def _plain(settings: Settings, source: KafkaConsumer, stop: Callable[[int], bool]) -> None:
    with closing(producer(settings)) as sink:
        enough = False
        while not enough:
            polled = source.poll(timeout_ms=200)
            records = [record for batch in polled.values() for record in batch]
            for out in _echo(records):
                sink.send(out.topic, key=out.key, value=out.value, headers=out.headers)
            sink.flush()
            if records:
                source.commit()
            enough = stop(len(records))


def _drain(settings: Settings, loop: Callable[..., None]) -> int:
    """Run the loop over all of `bench.in` with a group of its own."""
    handled = 0

    def stop(count: int) -> bool:
        nonlocal handled
        handled += count
        return handled >= RECORDS

    with closing(consumer(settings, f"bench-{next(_numbers)}")) as source:
        source.subscribe(["bench.in"])
        loop(settings, source, stop)
    return handled


def _latency(settings: Settings, rate: float) -> tuple[float, float]:
    """Median and 99th percentile, in seconds, of records sent one by one at this rate."""
    stop = threading.Event()
    sent: dict[bytes, float] = {}
    seen: dict[bytes, float] = {}
    with closing(
        consumer(settings, f"bench-{next(_numbers)}", auto_offset_reset="latest")
    ) as source:
        source.subscribe(["bench.in"])
        worker = threading.Thread(
            target=_transactional, args=(settings, source, lambda _: stop.is_set())
        )
        worker.start()
        with closing(consumer(settings, None)) as reader, closing(producer(settings)) as sink:
            places = [TopicPartition("bench.out", number) for number in range(PARTITIONS)]
            reader.assign(places)
            reader.seek_to_end(*places)
            while not source.assignment():
                time.sleep(0.05)
            started = time.perf_counter()
            for number in range(LATENCY_RECORDS):
                key = b"late-%d" % number
                sent[key] = time.perf_counter()
                sink.send("bench.in", key=key, value=b"x" * SIZE)
                _read(reader, seen, max(0.0, started + (number + 1) / rate - time.perf_counter()))
            while len(seen) < LATENCY_RECORDS:
                _read(reader, seen, 0.1)
            stop.set()
            sink.send("bench.in", key=b"end", value=b"")
            sink.flush()
        worker.join(30)
    values = sorted(seen[key] - sent[key] for key in sent)
    return statistics.median(values), values[int(len(values) * 0.99)]


def _read(reader: KafkaConsumer, seen: dict[bytes, float], seconds: float) -> None:
    for records in reader.poll(timeout_ms=int(seconds * 1000)).values():
        for record in records:
            if record.key.startswith(b"late-"):
                seen.setdefault(record.key, time.perf_counter())
