"""The delivery loop with members that are killed, stopped past their session, and restarted."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import closing
from uuid import uuid4

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tests.trials.oracle import read
from tests.waiting import until

pytestmark = [pytest.mark.trial, pytest.mark.timeout(1200)]
RECORDS, KEYS, PARTITIONS = 8000, 500, 6
SECONDS = 120
PAUSES = (4, 25)
"""Shorter and longer than the session time-out of 10 s."""


class Members:
    """Two processes of one group; one that ends is started again."""

    def __init__(self, kafka: str, group: str) -> None:
        self._command = [sys.executable, "-m", "tests.pipeline.delivery_member", kafka, group]
        self._running = {name: self._start(name) for name in ("a", "b")}
        self._stopped: dict[str, float] = {}

    def _start(self, name: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen([*self._command, name])

    def look(self) -> None:
        """Start and continue what is due."""
        for name, process in self._running.items():
            if process.poll() is not None:
                self._running[name] = self._start(name)
                self._stopped.pop(name, None)
            elif time.monotonic() > self._stopped.get(name, float("inf")):
                process.send_signal(signal.SIGCONT)
                del self._stopped[name]

    def hurt(self, rng: random.Random) -> str | None:
        """Do something to one that is not stopped; what it was."""
        name = rng.choice([*self._running])
        if name in self._stopped:
            return None
        sent = rng.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP])
        os.kill(self._running[name].pid, sent)
        if sent == signal.SIGSTOP:
            self._stopped[name] = time.monotonic() + rng.choice(PAUSES)
        return sent.name

    def close(self) -> None:
        """End both."""
        for process in self._running.values():
            process.kill()
            process.wait()


def test_every_record_comes_out_once_in_the_order_of_its_key(kafka: str) -> None:
    rng = random.Random(20_260_301)
    group = f"members-{uuid4().hex[:8]}"
    admin = AdminClient({"bootstrap.servers": kafka})
    topics = [NewTopic(f"{group}.{end}", PARTITIONS, 1) for end in ("in", "out")]
    for created in admin.create_topics(topics).values():
        created.result(60)
    sink = Producer({"bootstrap.servers": kafka, "enable.idempotence": True})
    sent, faults = 0, []
    out = f"{group}.out"
    with closing(Members(kafka, group)) as members:
        until(lambda: sink.list_topics(timeout=60), "Kafka answers", 60)
        started = due = time.monotonic()
        while sent < RECORDS:
            while sent < RECORDS * (time.monotonic() - started) / SECONDS and sent < RECORDS:
                sink.produce(f"{group}.in", str(sent).encode(), str(sent % KEYS).encode())
                sent += 1
            sink.poll(0.2)
            members.look()
            if time.monotonic() > due + 10:
                faults.append(members.hurt(rng))
                due = time.monotonic() + rng.uniform(0, 10)
        assert sink.flush(120) == 0

        def complete() -> bool:
            members.look()
            return len(read(kafka, [out])) >= RECORDS

        until(complete, "all records came out", 300)
    values: dict[bytes, list[int]] = {}
    for message in read(kafka, [out]):
        values.setdefault(message.key(), []).append(int(message.value()))
    assert sorted(n for numbers in values.values() for n in numbers) == list(range(RECORDS))
    assert all(numbers == sorted(numbers) for numbers in values.values())
    assert len({fault for fault in faults if fault}) > 1, "too little happened"
