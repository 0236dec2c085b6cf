"""A real Kafka and a real Redis under supervision: they answer, survive kills, and go away."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic
from kafka.errors import TopicAlreadyExistsError
from redis import Redis

from tests.waiting import until
from workers.local.cluster import Cluster, Endpoints, WorkerSpec

TOPIC = "posts"


DRAINING = """
import signal, sys, time
from redis import Redis
def drain(*_):
    time.sleep(1.5)
    Redis.from_url(sys.argv[1]).incr("drained")
    sys.exit(0)
signal.signal(signal.SIGTERM, drain)
Redis.from_url(sys.argv[1]).set("drained", 0)
signal.pause()
"""


def create_topic(endpoints: Endpoints) -> None:
    admin = KafkaAdminClient(bootstrap_servers=endpoints.kafka)
    try:
        admin.create_topics([NewTopic(TOPIC, 1, 1)])
    except TopicAlreadyExistsError:
        logging.getLogger(__name__).info("%s exists", TOPIC)
    finally:
        admin.close()


def up(cluster: Cluster) -> bool:
    return cluster.up(lambda endpoints: [], create_topic, lambda endpoints: {}, attached=True)


def produce(cluster: Cluster, value: bytes) -> None:
    producer = KafkaProducer(bootstrap_servers=cluster.endpoints().kafka)
    producer.send(TOPIC, value).get(timeout=30)
    producer.close()


def stored(cluster: Cluster) -> list[bytes]:
    consumer = KafkaConsumer(bootstrap_servers=cluster.endpoints().kafka)
    partition = TopicPartition(TOPIC, 0)
    consumer.assign([partition])
    consumer.seek_to_beginning(partition)
    end = consumer.end_offsets([partition])[partition]
    values: list[bytes] = []
    deadline = time.monotonic() + 30
    while len(values) < end and time.monotonic() < deadline:
        for records in consumer.poll(timeout_ms=200).values():
            values += [record.value for record in records]
    consumer.close()
    return values


def client(cluster: Cluster) -> Redis:
    found: Redis = Redis.from_url(cluster.endpoints().redis, decode_responses=True)
    return found


def kill(cluster: Cluster, name: str) -> set[str]:
    """SIGKILL a server and wait until it is back. The states that were seen meanwhile."""
    before = cluster.status()["workers"][name]["pid"]
    os.kill(before, signal.SIGKILL)
    seen: set[str] = set()

    def is_back() -> bool:
        status = cluster.status()["workers"][name]
        seen.add(status["state"])
        return bool(status["state"] == "running" and status["pid"] != before)

    until(is_back, f"{name} is back", 60)
    return seen


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    made = Cluster(tmp_path_factory.mktemp("local") / ".weathervane")
    up(made)
    yield made
    made.down()


def test_both_run_on_loopback_only(cluster: Cluster) -> None:
    status = cluster.status()
    for name in ("kafka", "redis"):
        worker = status["workers"][name]
        assert worker["state"] == "running"
        command = Path(f"/proc/{worker['pid']}/cmdline").read_text()
        assert {"kafka": "kafka.Kafka", "redis": "valkey-server"}[name] in command
    for name in ("kafka", "redis"):
        # A server on all interfaces would answer on the whole of 127.0.0.0/8.
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.2", status["workers"][name]["port"]), timeout=2)


def test_a_second_up_starts_nothing(cluster: Cluster) -> None:
    before = cluster.status()
    assert not up(cluster)
    assert cluster.status() == before


def test_a_killed_kafka_comes_back_with_its_records(cluster: Cluster) -> None:
    produce(cluster, b"before the kill")
    seen = kill(cluster, "kafka")
    assert seen > {"running"}, "status has shown that it was away"
    produce(cluster, b"after the kill")
    values = stored(cluster)
    assert values.index(b"before the kill") < values.index(b"after the kill")


def test_a_killed_redis_comes_back_with_its_keys(cluster: Cluster) -> None:
    with client(cluster) as redis:
        redis.set("posts", 7)
    kill(cluster, "redis")
    with client(cluster) as redis:
        assert redis.get("posts") == "7"


def test_a_killed_supervisor_costs_no_data(cluster: Cluster) -> None:
    produce(cluster, b"before the supervisor died")
    with client(cluster) as redis:
        redis.set("posts", 8)
    endpoints = cluster.endpoints()
    pids = [worker["pid"] for worker in cluster.status()["workers"].values()]
    os.kill(int((cluster.home / "run" / "supervisord.lock").read_text()), signal.SIGKILL)
    until(lambda: not any(is_alive(pid) for pid in pids), "both have ended")

    assert up(cluster)
    assert cluster.endpoints() == endpoints
    assert b"before the supervisor died" in stored(cluster)
    with client(cluster) as redis:
        assert redis.get("posts") == "8"


def test_down_and_up_keep_data_and_ports(cluster: Cluster) -> None:
    produce(cluster, b"before down")
    endpoints = cluster.endpoints()
    pids = [worker["pid"] for worker in cluster.status()["workers"].values()]
    assert cluster.down()
    assert not any(is_alive(pid) for pid in pids)
    assert {worker["state"] for worker in cluster.status()["workers"].values()} == {"stopped"}
    assert up(cluster)
    assert cluster.endpoints() == endpoints
    assert b"before down" in stored(cluster)


def test_servers_stay_until_workers_have_drained(cluster: Cluster) -> None:
    cluster.up(
        lambda endpoints: [
            WorkerSpec("aggregate", [sys.executable, "-c", DRAINING, endpoints.redis], None)
        ],
        create_topic,
        lambda endpoints: {},
        attached=True,
    )
    with client(cluster) as redis:
        until(lambda: redis.get("drained") == "0", "the worker runs")
    cluster.down()
    up(cluster)
    with client(cluster) as redis:
        assert redis.get("drained") == "1"


def test_two_folders_run_side_by_side_whatever_their_names(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "POSIX")
    other = Cluster(tmp_path / "情感 100% é" / ".weathervane")
    try:
        assert up(other)
        ours, theirs = cluster.endpoints(), other.endpoints()
        assert ours.kafka != theirs.kafka
        assert ours.redis != theirs.redis
        assert not set(ours.metrics_ports) & set(theirs.metrics_ports)
        assert stored(other) == []
        # The broker makes the folder of a topic after it has answered that there is one.
        until((other.home / "kafka" / "data" / "posts-0").is_dir, "the topic lies in its folder")
    finally:
        other.down()


def is_alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
