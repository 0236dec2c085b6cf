"""The system as a user runs it: `weathervane up` in an empty folder, and a client not ours."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition

from tests.waiting import until


@dataclass
class Stack:
    """A running system in `folder`."""

    folder: Path

    def weathervane(
        self, *arguments: str, check: bool = True, timeout: float = 180, **settings: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command line in the folder; `settings` go into its environment."""
        done = subprocess.run(
            [sys.executable, "-m", "workers", *arguments],
            cwd=self.folder,
            env={**os.environ, "WEATHERVANE_METRICS_HOST": "127.0.0.1"}
            | {f"WEATHERVANE_{name}": value for name, value in settings.items()},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert not check or done.returncode == 0, done.stderr
        return done

    def status(self) -> dict[str, Any]:
        """`status --json`, also where something is down."""
        done = self.weathervane("status", "--json", check=False)
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def totals(self) -> dict[str, Any]:
        """`totals --json`."""
        answer: dict[str, Any] = json.loads(self.weathervane("totals", "--json").stdout)
        return answer

    def kill(self, name: str) -> int:
        """SIGKILL a worker by its name; its process id."""
        pid = int(self.status()["workers"][name]["pid"])
        os.kill(pid, signal.SIGKILL)
        return pid

    def wait_running(self, name: str, not_pid: int | None = None, seconds: float = 60) -> None:
        """Until the worker runs and is ready, under another process id where one is given."""

        def runs() -> bool:
            worker = self.status()["workers"][name]
            return bool(worker["state"] == "running" and worker["pid"] != not_pid)

        until(runs, f"{name} runs", seconds)

    def produce(self, topic: str, records: Sequence[bytes | dict[str, Any]]) -> None:
        """Send records with confluent-kafka."""
        producer = Producer({"bootstrap.servers": self.status()["kafka"]})
        for record in records:
            value = record if isinstance(record, bytes) else json.dumps(record).encode()
            producer.produce(topic, value)
        assert producer.flush(30) == 0

    def reader(self, *topics: str) -> Reader:
        """Reads topics from now on with confluent-kafka."""
        return Reader(self.status()["kafka"], topics)


class Reader:
    """A confluent-kafka consumer of whole topics, without a group, committed records only."""

    def __init__(self, bootstrap: str, topics: Sequence[str]) -> None:
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": "reader",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
            }
        )
        found = self._consumer.list_topics(timeout=10).topics
        places = []
        for topic in topics:
            for number in found[topic].partitions:
                place = TopicPartition(topic, number)
                place.offset = self._consumer.get_watermark_offsets(place, timeout=10)[1]
                places.append(place)
        self._consumer.assign(places)
        self.messages: list[Any] = []

    def until(self, count: int, seconds: float) -> list[Any]:
        """All messages so far, once there are `count` of them.

        Raises:
            AssertionError: there were fewer after `seconds`.
        """

        def enough() -> bool:
            message = self._consumer.poll(0.2)
            if message is not None and message.error() is None:
                self.messages.append(message)
            return len(self.messages) >= count

        until(enough, f"{count} messages are there", seconds)
        return self.messages

    def close(self) -> None:
        """Close the consumer."""
        self._consumer.close()
