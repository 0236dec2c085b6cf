"""One member of a group that runs the delivery loop with a stub: `… KAFKA GROUP NAME`."""

from __future__ import annotations

import random
import signal
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import closing

from pipeline.clients import consumer, producer
from pipeline.delivery import Delivery, Prefix
from pipeline.records import Outgoing, Record
from pipeline.settings import load_settings
from pipeline.telemetry import Telemetry


def main(kafka: str, group: str, name: str) -> None:
    """Answer each record by itself until SIGTERM: now and then slowly, now and then a part."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    rng = random.Random()

    def transform(records: Sequence[Record]) -> Prefix:
        if rng.random() < 0.05:
            time.sleep(rng.random() * 2.5)
        count = max(1, len(records) // 2) if rng.random() < 0.2 else len(records)
        answers = [Outgoing(f"{group}.out", r.key, r.value, []) for r in records[:count]]
        return Prefix(answers, count)

    settings = load_settings(kafka=kafka, name=name, batch_records=200)
    with (
        closing(consumer(settings, group)) as source,
        closing(producer(settings, f"{group}-{name}")) as sink,
    ):
        source.subscribe([f"{group}.in"])
        Delivery(source, sink, transform, Telemetry("member"), 0.2).run(stop)


if __name__ == "__main__":
    main(*sys.argv[1:])
