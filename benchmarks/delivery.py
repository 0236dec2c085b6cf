"""What exactness costs: the delivery loop with transactions against the same loop without them.

The model is a stub (each record is answered by itself), so that nothing hides the delivery. The
plain loop is the same one (a thread for each, batches of the same length), but it produces, waits
for the acknowledgements, and commits its offsets without waiting: at least once. A run is timed
from its first batch to its last commit, without joining the group, by the clock and in processor
seconds: on a machine that others use as well, the clock shows mostly how long threads wait for it.
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
from typing import Any, NamedTuple

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic
from kafka.structs import OffsetAndMetadata
from rich.console import Console

from benchmarks.harness import Result, report
from pipeline.clients import consumer, producer
from pipeline.delivery import Delivery
from pipeline.records import Outgoing, Record
from pipeline.settings import Settings, load_settings
from pipeline.telemetry import Telemetry
from workers.local.cluster import Cluster

RECORDS = 40_000
ROUNDS = 7
SIZE = 600
"""Bytes of a record."""
PARTITIONS = 6
IN, SLOW_IN, OUT = "bench.in", "bench.slow.in", "bench.out"
LATENCY_RECORDS = 400
_numbers = itertools.count()


def main() -> None:
    """Print the table and the latency, with a Kafka of its own."""
    with tempfile.TemporaryDirectory() as folder:
        cluster = Cluster(Path(folder), redis="redis://127.0.0.1:1/0")
        cluster.up(lambda _: [], lambda _: None, lambda _: {}, attached=True)
        try:
            settings = load_settings(kafka=cluster.endpoints().kafka, name="bench")
            topics = [NewTopic(name, PARTITIONS, 1) for name in (IN, SLOW_IN, OUT)]
            with closing(KafkaAdminClient(**settings.kafka_options())) as admin:
                admin.create_topics(topics)
            measure(settings)
        finally:
            cluster.down()


def measure(settings: Settings) -> None:
    """Throughput of both, then the latency of the exact one at half of its rate."""
    _fill(settings, RECORDS)
    loops = {"transactions": _transactional, "at least once": _plain}
    runs: dict[str, list[Took]] = {name: [] for name in loops}
    for number in range(ROUNDS + 1):
        for name, loop in loops.items():
            took = _drain(settings, loop)
            # The first round warms up.
            if number:
                runs[name].append(took)
    results = [
        Result(name, statistics.median(took.wall for took in all_of), RECORDS)
        for name, all_of in runs.items()
    ]
    report("delivery", "records", results, "transactions")
    pairs = list(zip(*runs.values(), strict=True))
    for what in Took._fields:
        ratios = sorted(getattr(b, what) / getattr(a, what) for a, b in pairs)
        listed = ", ".join(f"{ratio:.2f}" for ratio in ratios)
        Console().print(f"{what} seconds, {statistics.median(ratios):.2f} x: {listed}")
    rate = results[0].per_second / 2
    p50, p99 = _latency(settings, min(rate, 500))
    Console().print(f"from produce to result, {min(rate, 500):.0f} a second: ", end="")
    Console().print(f"p50 {p50 * 1000:.0f} ms, p99 {p99 * 1000:.0f} ms")


def _fill(settings: Settings, count: int) -> None:
    with closing(producer(settings)) as sink:
        for number in range(count):
            sink.send(IN, key=b"%d" % number, value=b"x" * SIZE)
        sink.flush()


class Took(NamedTuple):
    """Seconds by the clock, and those that the threads of this process computed."""

    wall: float
    processor: float

    @classmethod
    def now(cls) -> Took:
        """Both clocks."""
        return cls(time.perf_counter(), time.process_time())


class _AtLeastOnce(Delivery):
    """The same loop without transactions."""

    def _commit(self, round_: Any) -> None:
        sent = [
            self._producer.send(out.topic, key=out.key, value=out.value, headers=out.headers)
            for out in round_.answers
        ]
        self._producer.flush()
        for future in sent:
            if not future.succeeded():
                raise future.exception

    def _settled(self) -> bool:
        committing = self._committing
        done = super()._settled()
        if committing is not None:
            offsets = committing[0].offsets.items()
            self._consumer.commit_async({p: OffsetAndMetadata(at, "", -1) for p, at in offsets})
        return done


def _transactional(settings: Settings, source: KafkaConsumer, stop: Callable[[int], bool]) -> Took:
    with closing(producer(settings, f"bench-{next(_numbers)}")) as sink:
        return _run(Delivery, source, sink, stop)


def _plain(settings: Settings, source: KafkaConsumer, stop: Callable[[int], bool]) -> Took:
    with closing(producer(settings)) as sink:
        sink.init_transactions = lambda: None
        return _run(_AtLeastOnce, source, sink, stop)


def _run(
    loop: type[Delivery],
    source: KafkaConsumer,
    sink: KafkaProducer,
    stop: Callable[[int], bool],
) -> Took:
    """From the first batch to the last commit."""
    done = threading.Event()
    started: list[Took] = []

    def transform(records: Sequence[Record]) -> list[Outgoing]:
        started.append(Took.now())
        if stop(len(records)):
            done.set()
        return [Outgoing(OUT, r.key, r.value, r.headers) for r in records]

    loop(source, sink, transform, Telemetry("bench"), 0.2).run(done)
    return Took(*(b - a for a, b in zip(started[0], Took.now(), strict=True)))


def _drain(settings: Settings, loop: Callable[..., Took]) -> Took:
    """Run the loop over all of IN with a group of its own."""
    handled = 0

    def stop(count: int) -> bool:
        nonlocal handled
        handled += count
        return handled >= RECORDS

    with closing(consumer(settings, f"bench-{next(_numbers)}")) as source:
        source.subscribe([IN])
        return loop(settings, source, stop)


def _latency(settings: Settings, rate: float) -> tuple[float, float]:
    """Median and 99th percentile, in seconds, of records sent one by one at this rate."""
    stop = threading.Event()
    sent: dict[bytes, float] = {}
    seen: dict[bytes, float] = {}
    with closing(consumer(settings, f"bench-{next(_numbers)}")) as source:
        source.subscribe([SLOW_IN])
        worker = threading.Thread(
            target=_transactional, args=(settings, source, lambda _: stop.is_set())
        )
        worker.start()
        with closing(consumer(settings, None)) as reader, closing(producer(settings)) as sink:
            places = [TopicPartition(OUT, number) for number in range(PARTITIONS)]
            reader.assign(places)
            reader.seek_to_end(*places)
            while not source.assignment():
                time.sleep(0.05)
            started = time.perf_counter()
            for number in range(LATENCY_RECORDS):
                key = b"late-%d" % number
                sent[key] = time.perf_counter()
                sink.send(SLOW_IN, key=key, value=b"x" * SIZE)
                _read(reader, seen, max(0.0, started + (number + 1) / rate - time.perf_counter()))
            while len(seen) < LATENCY_RECORDS:
                _read(reader, seen, 0.1)
            stop.set()
            sink.send(SLOW_IN, key=b"end", value=b"")
            sink.flush()
        worker.join(30)
    values = sorted(seen[key] - sent[key] for key in sent)
    return statistics.median(values), values[int(len(values) * 0.99)]


def _read(reader: KafkaConsumer, seen: dict[bytes, float], seconds: float) -> None:
    for records in reader.poll(timeout_ms=int(seconds * 1000)).values():
        for record in records:
            if record.key.startswith(b"late-"):
                seen.setdefault(record.key, time.perf_counter())
