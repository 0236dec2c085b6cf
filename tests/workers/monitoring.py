"""Monitors as processes against real servers, fed through `sentiment`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from confluent_kafka import (
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient

from pipeline.alerts.alert import Alert, alert_decoder
from pipeline.alerts.track import Counts
from pipeline.event import SentimentEvent
from pipeline.post import encoder
from pipeline.settings import PREFIX, Settings
from pipeline.topics import ALERTS, MONITOR_TABLES, ROLLUPS, SENTIMENT, create_topics
from tests.waiting import until
from workers.local.ports import accepts

READY_SECONDS = 240
"""Longest wait for a monitor to start: a test of it is not about a busy machine."""
_RUN = (sys.executable, "-m", "workers", "run", "monitor")
GROUPS = {"monitor-combine": SENTIMENT, "monitor": ROLLUPS}


class Monitoring:
    """The servers, and how monitors are run and looked at."""

    def __init__(self, kafka: str, redis: str, folder: Path) -> None:
        self.kafka, self.redis, self.folder = kafka, redis, folder
        self._admin = AdminClient({"bootstrap.servers": kafka})
        self._started: list[Monitor] = []

    def close(self) -> None:
        """SIGKILL every monitor that still runs."""
        for monitor in self._started:
            monitor.kill()

    def clean(self) -> None:
        """New topics, without any records."""
        until(self._emptied, "the old topics are gone", 120)
        until(self._created, "there are new topics", 60)

    def _emptied(self) -> bool:
        """Whether no topic is left; what is gets deleted, again where a producer that looked for
        its topic has made it anew."""
        found = self._admin.list_topics(timeout=30).topics
        ours = [name for name in found if not name.startswith("__")]
        for done in self._admin.delete_topics(ours, operation_timeout=30).values() if ours else ():
            try:
                done.result(60)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                    raise
        return not ours

    def _created(self) -> bool:
        create_topics(Settings(kafka=self.kafka))
        return SENTIMENT in self._admin.list_topics(timeout=30).topics

    def start(self, name: str = "monitor-1", **settings: Any) -> Monitor:
        """A monitor process; ready when this returns."""
        port = next(p for p in range(9800, 9999) if not accepts("127.0.0.1", p))
        variables = {"KAFKA": self.kafka, "REDIS": self.redis} | settings
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [*_RUN, "--name", name, "--port", str(port)],
                env=os.environ | {f"{PREFIX}{key}": str(value) for key, value in variables.items()},
                stdout=log,
                stderr=log,
                cwd=self.folder,
            )
        monitor = Monitor(process, port)
        self._started.append(monitor)
        until(monitor.ready, f"{name} is ready", READY_SECONDS)
        return monitor

    @contextmanager
    def running(self, name: str = "monitor-1", **settings: Any) -> Iterator[Monitor]:
        """A monitor for the time of the block; SIGTERM ends it in time."""
        monitor = self.start(name, **settings)
        yield monitor
        monitor.end()

    def feed(self, events: Iterable[SentimentEvent]) -> int:
        """Produce events as infer does, in a transaction; how many."""
        producer = Producer({"bootstrap.servers": self.kafka, "transactional.id": "infer-feed"})
        producer.init_transactions(60)
        producer.begin_transaction()
        count = 0
        for event in events:
            producer.produce(SENTIMENT, encoder.encode(event), event.id.encode())
            count += 1
            if count % 1000 == 0:
                producer.poll(0)
        producer.commit_transaction(60)
        return count

    def produce(self, topic: str, value: bytes, key: bytes) -> None:
        """Send one record, to the partition that Java's and our own clients would choose."""
        producer = Producer({"bootstrap.servers": self.kafka, "partitioner": "murmur2_random"})
        producer.produce(topic, value, key)
        assert producer.flush(60) == 0

    def remove(self, topic: str) -> None:
        """Delete one topic."""
        for done in self._admin.delete_topics([topic], operation_timeout=30).values():
            done.result(60)

    def read(self, *topics: str) -> list[Any]:
        """All committed records of the topics."""
        reader = Consumer(
            {
                "bootstrap.servers": self.kafka,
                "group.id": "reader",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
            }
        )
        known = reader.list_topics(timeout=30).topics
        places = [
            TopicPartition(topic, number, 0)
            for topic in topics
            for number in known[topic].partitions
        ]
        reader.assign(places)
        messages, ended = [], 0
        while ended < len(places):
            message = reader.poll(30)
            assert message is not None, f"{topics} cannot be read"
            if message.error() is None:
                messages.append(message)
            else:
                ended += 1
        reader.close()
        return messages

    def alerts(self) -> list[Alert]:
        """All states of all alerts, in their order."""
        return [alert_decoder.decode(message.value()) for message in self.read(ALERTS)]

    def counts(self) -> dict[str, Counts]:
        """What the monitors have counted, by track, as their table says."""
        newest = {m.key().decode(): m.value() for m in self.read(MONITOR_TABLES[0])}
        return {
            track: msgspec.msgpack.decode(value, type=Counts)
            for track, value in newest.items()
            if not track.startswith("\0")
        }

    def from_the_beginning(self) -> None:
        """Let all of `sentiment` and `rollups` be read again by the monitors, which do not run."""
        for group, topic in GROUPS.items():
            numbers = self._admin.list_topics(timeout=30).topics[topic].partitions
            places = [TopicPartition(topic, number, 0) for number in numbers]
            wanted = [ConsumerGroupTopicPartitions(group, places)]

            def moved(wanted: list[ConsumerGroupTopicPartitions] = wanted) -> bool:
                try:
                    for done in self._admin.alter_consumer_group_offsets(wanted).values():
                        done.result(30)
                except Exception:  # noqa: BLE001 (a dead member is still known for 10 s)
                    return False
                return True

            until(moved, f"the offsets of {group} are back", 60)

    def commit(self, group: str, topic: str) -> None:
        """Let the group have done all that the topic holds."""
        reader = Consumer({"bootstrap.servers": self.kafka, "group.id": group})
        places = [
            TopicPartition(topic, number)
            for number in reader.list_topics(topic, timeout=30).topics[topic].partitions
        ]
        for place in places:
            place.offset = reader.get_watermark_offsets(place, timeout=30)[1]
        reader.commit(offsets=places, asynchronous=False)
        reader.close()

    def handled(self) -> bool:
        """Whether the monitors have nothing left to read but progress of the last moment."""
        for group, topic in GROUPS.items():
            wanted = [ConsumerGroupTopicPartitions(group)]
            [found] = [
                done.result(30) for done in self._admin.list_consumer_group_offsets(wanted).values()
            ]
            at = {(p.topic, p.partition): p.offset for p in found.topic_partitions}
            last: dict[tuple[str, int], int] = {}
            for message in self.read(topic):
                if b'"progress"' not in message.value()[:30]:
                    last[topic, message.partition()] = message.offset()
            if any(at.get(place, -1) <= offset for place, offset in last.items()):
                return False
        return True


class Monitor:
    """One monitor process."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.process, self.port = process, port

    def ready(self) -> bool:
        """Whether it says so."""
        self.alive()
        return self.get("/readyz")[0] == 200

    def alive(self) -> None:
        """It has not ended."""
        assert self.process.poll() is None, "the monitor has ended"

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of one of its pages; 0 where it does not answer."""
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.port}{path}", timeout=10
            ) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait()

    def end(self) -> float:
        """SIGTERM; the seconds until it has ended."""
        started = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(40) == 0
        return time.monotonic() - started


def states(alerts: Iterable[Alert]) -> dict[str, list[tuple[int, str]]]:
    """Sequence and state of each record, by series."""
    found: dict[str, list[tuple[int, str]]] = {}
    for alert in alerts:
        found.setdefault(f"{alert.track}/{alert.series}/{alert.id}", []).append(
            (alert.sequence, alert.state)
        )
    return found


def lines(alerts: Iterable[Alert]) -> str:
    """For a message of an assertion."""
    return "\n".join(json.dumps(msgspec.to_builtins(alert)) for alert in alerts)
