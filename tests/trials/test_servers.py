"""Kafka and Redis that hang, die, or come back with older data."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka import admin as kafka_admin

from tests.trials.harness import Fault, Trial, post, record
from tests.trials.oracle import RAW, read
from tests.waiting import until
from workers.api.staleness import STALE_SECONDS

pytestmark = [pytest.mark.trial, pytest.mark.timeout(1200)]
STALLS = (8, 14)
"""Seconds: shorter and longer than the store client's time-out of 10 s."""
BROKER_KILLS = 5
UNAVAILABLE_SECONDS = 15


def test_trial_3_redis_stalls(trial: Trial) -> None:
    """SIGSTOP Redis for 8 s and for 14 s during writes."""
    third = trial.posts // 3
    for seconds in STALLS:
        before = trial.progress("aggregate")
        trial.send_posts(third)
        trial.wait_progress("aggregate", before + 1)
        while not _stall(trial, seconds):
            trial.send_posts(20)
        fault = Fault(trial, "aggregate")
        trial.send_posts(third // 2)
        trial.recovers(fault)
    trial.settle()


def _stall(trial: Trial, seconds: float) -> bool:
    """Stop Redis for so long, if a fold waits for it; whether one did."""
    with trial.stalled() as in_a_fold:
        if in_a_fold:
            time.sleep(seconds)
    return in_a_fold


def test_trial_4_redis_comes_back_older(trial: Trial) -> None:
    """kill -9 Redis; restart it with an old and with an empty data folder; the page says so."""
    folder = trial.home / "redis"
    old = trial.stack.folder / "old"
    portion = trial.posts // 4

    trial.send_posts(portion)
    trial.wait_progress("aggregate", portion)
    shutil.copytree(folder, old)
    copied = time.monotonic()

    pid = trial.running("redis")
    before = trial.progress("aggregate")
    trial.send_posts(portion)
    trial.wait_progress("aggregate", before + 1)
    trial.kill("redis", "ingest")
    killed = time.monotonic()
    trial.restarted("redis", pid)
    fault = Fault(trial, "aggregate")
    fault.at = killed
    trial.send_posts(portion)
    trial.recovers(fault)
    trial.settle()

    # Counts that are no older than usual are not called old.
    time.sleep(max(0.0, copied + STALE_SECONDS + 2 - time.monotonic()))
    for data in (old, None):
        counted = trial.progress("aggregate")
        # It stands still meanwhile, so that what the store came back with can be seen.
        with trial.stopped(trial.running("aggregate")):
            _replace_data(trial, folder, data)
            fault = Fault(trial, "aggregate")
            assert trial.stale(), "the page does not say that its counts are old"
        assert fault.before < counted, "the store is not older than it was"
        trial.recovers(fault)
        trial.send_posts(portion // 2)
        trial.settle()
        until(lambda: not trial.stale(), "the page says that its counts are up to date")


def _replace_data(trial: Trial, folder: Path, data: Path | None) -> None:
    trial.control("stopProcess", "servers:redis", True)
    shutil.rmtree(folder)
    if data is None:
        folder.mkdir()
    else:
        shutil.copytree(data, folder)
    trial.control("startProcess", "servers:redis", False)
    until(lambda: trial.ready("redis"), "Redis answers")


def test_trial_7_dead_letters_refused(trial: Trial) -> None:
    """Kafka refuses all writes to the dead-letter topic for 15 s."""
    letters = f"{RAW}.dlq"
    good = trial.posts // 3
    trial.send_posts(good)
    trial.wait_progress("ingest", good)
    bad = [record(post(number, created_at="yesterday")) for number in range(-20, 0)]
    with _refusing(trial.kafka, letters):
        trial.send(bad)
        trial.send_posts(good)
        time.sleep(UNAVAILABLE_SECONDS)
        committed = trial.committed("ingest")
        keys = {key for key, _ in bad}
        for message in read(trial.kafka, [RAW]):
            if message.key().decode() in keys:
                assert committed[message.partition()] <= message.offset(), "it did not wait"
    fault = Fault(trial, "ingest")
    trial.send_posts(good)
    trial.recovers(fault)
    trial.settle(letters=[key for key, _ in bad])


@contextmanager
def _refusing(kafka: str, topic: str) -> Iterator[None]:
    """Every dead letter is too large for the topic (but no marker of a transaction is)."""
    _set_largest(kafka, topic, 150)
    try:
        errors: list[object] = []
        probe = Producer({"bootstrap.servers": kafka, "message.timeout.ms": 3000})
        probe.produce(topic, b"x" * 300, on_delivery=lambda error, message: errors.append(error))
        probe.flush(10)
        assert errors, "the probe was not answered"
        assert errors[0] is not None, "the topic takes writes"
        yield
    finally:
        _set_largest(kafka, topic, 2_100_000)


def _set_largest(kafka: str, topic: str, size: int) -> None:
    api: Any = kafka_admin
    change = api.AlterConfigOpType.SET
    entry = api.ConfigEntry("max.message.bytes", str(size), incremental_operation=change)
    resource = api.ConfigResource(api.ResourceType.TOPIC, topic, incremental_configs=[entry])
    client = api.AdminClient({"bootstrap.servers": kafka})
    for done in client.incremental_alter_configs([resource]).values():
        done.result(10)


def test_trial_10_broker_kills(trial: Trial) -> None:
    """kill -9 the broker 5×."""
    portion = trial.posts // (2 * BROKER_KILLS)
    pids = set()
    for _ in range(BROKER_KILLS):
        before = trial.progress("infer")
        trial.send_posts(portion)
        trial.wait_progress("infer", before + 1)
        before = trial.progress("infer")
        pid = trial.running("kafka")
        pids.add(pid)
        killed = time.monotonic()
        trial.kill("kafka", "aggregate")
        # The producer keeps what the broker does not take, until it does.
        trial.send_posts(portion)
        fault = Fault(trial, "infer")
        fault.at = killed
        trial.recovers(fault, 90)
    assert len(pids) == BROKER_KILLS
    trial.settle()
