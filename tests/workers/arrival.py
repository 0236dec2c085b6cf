"""One ingest process on a real Kafka, and what became of every record that it was sent."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition

from pipeline.clients import consumer
from pipeline.headers import header
from pipeline.records import ERROR_HEADERS
from pipeline.settings import Settings
from pipeline.topics import POSTS
from tests.ports import free_port
from tests.waiting import until
from tests.workers.hostile import Sent
from workers.local.cluster import Cluster, Endpoints
from workers.local.readiness import is_ready

Place = tuple[TopicPartition, int]


class Worker:
    """A worker process; that it ends by itself is an error."""

    def __init__(self, settings: Settings, folder: Path, stage: str = "ingest") -> None:
        self.log = folder / f"{stage}.log"
        self.port = free_port()
        arguments = ["run", stage, "--name", settings.name, "--port", str(self.port)]
        environment = os.environ | {"WEATHERVANE_KAFKA": settings.kafka}
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "workers", *arguments],
                env=environment | {"WEATHERVANE_REDIS": settings.redis},
                stdout=out,
                stderr=out,
            )

    def ready(self) -> bool:
        """Whether it is ready.

        Raises:
            AssertionError: it has ended.
        """
        assert self.process.poll() is None, f"it has ended:\n{self.log.read_text()[-3000:]}"
        return is_ready(self.port)

    def close(self) -> None:
        """End it."""
        self.process.terminate()
        try:
            self.process.wait(40)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextmanager
def running(settings: Settings, folder: Path, stage: str = "ingest") -> Iterator[Worker]:
    """A worker that is ready, for the time of the block."""
    with closing(Worker(settings, folder, stage)) as worker:
        until(worker.ready, f"{stage} is ready", 90)
        yield worker
        assert worker.process.poll() is None, f"it has ended:\n{worker.log.read_text()[-3000:]}"


class Topics:
    """Positions and records of topics, from when it was made."""

    def __init__(self, settings: Settings, *raw: str) -> None:
        self._reader: KafkaConsumer = consumer(settings, None)
        self._admin = KafkaAdminClient(**settings.kafka_options())
        self.raw = raw
        names = [POSTS, *raw, *(f"{name}.dlq" for name in raw)]
        there = [name for name in names if self._reader.partitions_for_topic(name)]
        self._begins = self._reader.end_offsets(self.places(*there))

    def places(self, *topics: str) -> list[TopicPartition]:
        """Their partitions."""
        return [
            TopicPartition(topic, number)
            for topic in topics
            for number in sorted(self._reader.partitions_for_topic(topic) or ())
        ]

    def committed(self, group: str = "ingest") -> dict[TopicPartition, int]:
        """How far the group is."""
        found = self._admin.list_group_offsets(group)[group]
        return {place: meta.offset for place, meta in found.items()}

    def left(self) -> int:
        """Raw records that are not answered yet."""
        done = self.committed()
        ends = self._reader.end_offsets(self.places(*self.raw))
        return sum(max(0, end - done.get(place, 0)) for place, end in ends.items())

    def read(self, *topics: str) -> list[Any]:
        """The records that were written since."""
        places = self.places(*topics)
        self._reader.assign(places)
        for place in places:
            self._reader.seek(place, self._begins.get(place, 0))
        ends = self._reader.end_offsets(places)
        found = []
        while any(self._reader.position(place) < end for place, end in ends.items()):
            for batch in self._reader.poll(timeout_ms=500).values():
                found += batch
        return found

    def letters(self) -> Counter[Place]:
        """How often each raw record has a dead letter, by its place."""
        found: Counter[Place] = Counter()
        for letter in self.read(*(f"{name}.dlq" for name in self.raw)):
            about = {name: error(letter, name) for name in ("topic", "partition", "offset")}
            last = error(letter, "last.offset") or about["offset"]
            place = TopicPartition(about["topic"], int(about["partition"]))
            for offset in range(int(about["offset"]), int(last) + 1):
                found[place, offset] += 1
        return found

    def close(self) -> None:
        """Close the clients."""
        self._reader.close()
        self._admin.close()


def error(letter: Any, name: str) -> str:
    """What a dead letter says of its failure; empty where it says nothing."""
    return (header(letter.headers, ERROR_HEADERS + name) or b"").decode()


def drained(topics: Topics, worker: Worker, seconds: float) -> float:
    """Wait until all raw records are answered; for how long, in seconds."""
    begun = time.monotonic()

    def done() -> bool:
        assert worker.process.poll() is None, f"it has ended:\n{worker.log.read_text()[-3000:]}"
        return topics.left() == 0

    until(done, "all raw records are answered", seconds)
    return time.monotonic() - begun


def hold_once(topics: Topics, places: Mapping[Place, Sent]) -> None:
    """Every record has become exactly one post or one dead letter, as it must."""
    letters = topics.letters()
    posts = Counter((record.key or b"").decode() for record in topics.read(POSTS))
    wrong: list[str] = []
    for place, sent in places.items():
        found = (posts[sent.id] if sent.id else 0, letters[place])
        wanted: Sequence[tuple[int, int]] = {
            "post": [(1, 0)],
            "letter": [(0, 1)],
            "either": [(1, 0), (0, 1)],
        }[sent.fate]
        if found not in wanted:
            wrong.append(f"{place}: {found}, {sent!r:.200}")
    assert not wrong, f"{len(wrong)} of {len(places)}:\n" + "\n".join(wrong[:20])
    assert sum(posts.values()) + sum(letters.values()) == len(places)


@pytest.fixture(scope="session")
def own_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoints]:
    """Servers that no other test reads: foreign records stay in their topics."""
    cluster = Cluster(tmp_path_factory.mktemp("own"))
    cluster.up(
        workers=lambda endpoints: [],
        prepare=lambda endpoints: None,
        environment=lambda endpoints: {},
        attached=True,
    )
    yield cluster.endpoints()
    cluster.down()
