"""Disks that run full under the servers, and are given room again."""

from __future__ import annotations

import re
import time
from functools import partial

import pytest

from tests.trials.flow import flowing
from tests.trials.harness import WORKERS, Fault, Trial
from tests.trials.limits import fill, small_disk
from tests.waiting import until

pytestmark = [pytest.mark.trial, pytest.mark.timeout(3600)]
KAFKA_MEBIBYTES = 96
REDIS_MEBIBYTES = 24
FULL_SECONDS = 20
BACK_SECONDS = 400
RATE = 40.0


@pytest.mark.environment(DEVICE_TIMEOUT_SECONDS=120)
def test_trial_24_disk_full(trial: Trial) -> None:
    """The disk under Redis, then the one under Kafka, is filled while posts flow, for 20 s each."""
    _redis(trial)
    _kafka(trial)
    trial.settle()


def _redis(trial: Trial) -> None:
    folder = trial.home / "redis"
    trial.control("stopProcess", "servers:redis", True)
    with small_disk(folder, REDIS_MEBIBYTES):
        trial.control("startProcess", "servers:redis", False)
        until(lambda: trial.ready("aggregate"), "aggregate is ready", BACK_SECONDS)
        with flowing(trial, RATE):
            ballast = fill(folder)
            # The store takes no writes, and says so; whoever writes says so too.
            until(lambda: not trial.ready("aggregate"), "aggregate is not ready", BACK_SECONDS)
            assert trial.store.info("persistence")["aof_last_write_status"] == "err"
            counted = trial.progress("aggregate")
            time.sleep(FULL_SECONDS)
            assert trial.progress("aggregate") == counted, "a write was taken on a full disk"
            _said(trial, "aggregate", "the store does not answer")
            _said(trial, "redis", "while writing to the AOF file")
            ballast.unlink()
            trial.recovers(Fault(trial, "aggregate"), BACK_SECONDS)
        trial.settle()
        trial.control("stopProcess", "servers:redis", True)
    trial.control("startProcess", "servers:redis", False)
    until(lambda: trial.ready("redis"), "Redis answers", BACK_SECONDS)


def _kafka(trial: Trial) -> None:
    folder = trial.home / "kafka" / "data"
    trial.control("stopProcess", "servers:kafka", True)
    with small_disk(folder, KAFKA_MEBIBYTES):
        trial.control("startProcess", "servers:kafka", False)
        until(lambda: trial.ready("kafka"), "Kafka answers", BACK_SECONDS)
        before = trial.progress("infer")
        with flowing(trial, RATE):
            trial.wait_progress("infer", before + 1, BACK_SECONDS)
            before, pid = trial.progress("infer"), trial.running("kafka")
            ballast = fill(folder)
            # Its only disk has failed: the broker ends, and is started until there is room.
            until(lambda: trial.gone("kafka", pid), "the broker has ended", BACK_SECONDS)
            until(lambda: not trial.ready("kafka"), "Kafka is not ready", BACK_SECONDS)
            time.sleep(FULL_SECONDS)
            for role in WORKERS:
                until(partial(_unready, trial, role), f"{role} is not ready", BACK_SECONDS)
            _said(trial, "kafka", "No space left on device")
            ballast.unlink()
            freed = time.monotonic()
            until(lambda: trial.ready("kafka"), "Kafka answers again", BACK_SECONDS)
            fault = Fault(trial, "infer")
            fault.before, fault.at = before, freed
            trial.recovers(fault, BACK_SECONDS)
        trial.settle()
        trial.control("stopProcess", "servers:kafka", True)
    trial.control("startProcess", "servers:kafka", False)
    until(lambda: trial.ready("kafka"), "Kafka answers", BACK_SECONDS)


def _unready(trial: Trial, name: str) -> bool:
    return not trial.ready(name)


def _said(trial: Trial, name: str, words: str) -> None:
    log = (trial.home / "logs" / f"{name}.log").read_text(errors="replace")
    assert re.search(re.escape(words), log), f"{name} did not say: {words}"
