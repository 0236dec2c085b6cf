"""Workers that die, hang, or are restarted."""

from __future__ import annotations

import os
import signal
import time
from functools import partial

import pytest

from tests.trials.harness import WORKERS, Fault, Trial, children
from tests.waiting import until

pytestmark = [pytest.mark.trial, pytest.mark.timeout(1200)]
BOUNCES = 3
AGGREGATED = 4000
"""Posts, at least, that wait for the aggregator, which has to be caught in a fold four times."""
DEVICE_SECONDS = 30
DRAIN_SECONDS = 30


def test_trial_1_kills(trial: Trial) -> None:
    """SIGKILL each worker 3×; each tenth post in three versions, whose order has to stay."""
    half = trial.posts // (2 * BOUNCES * len(WORKERS))
    pids: set[int] = set()
    for _ in range(BOUNCES):
        old = {name: trial.running(name) for name in WORKERS}
        for victim in trial.random.sample(WORKERS, len(WORKERS)):
            before = trial.progress(victim)
            trial.send_posts(half, versions=3)
            trial.wait_progress(victim, before + half // 5)
            fault = trial.kill(victim)
            trial.send_posts(half, versions=3)
            trial.recovers(fault)
        for name, pid in old.items():
            trial.restarted(name, pid)
        pids |= set(old.values())
    assert len(pids) == BOUNCES * len(WORKERS)
    trial.settle()


@pytest.mark.environment(BATCH_RECORDS=8)
def test_trial_2_aggregator_mid_batch(trial: Trial) -> None:
    """SIGKILL the aggregator while the store holds its call, 4×."""
    posts = max(trial.posts, AGGREGATED)
    with trial.stopped(trial.running("aggregate")):
        trial.send_posts(posts)
        trial.wait_progress("infer", posts, 300)
    fault = Fault(trial, "aggregate")
    kills = applied = 0
    while kills < 4:
        trial.recovers(fault)
        with trial.stalled() as in_a_fold:
            if in_a_fold:
                pid, before = trial.running("aggregate"), _written(trial)
                os.kill(pid, signal.SIGKILL)
                until(partial(trial.gone, "aggregate", pid), "the aggregator is gone")
        trial.store.ping()
        fault = Fault(trial, "aggregate")
        assert fault.before < posts, "the aggregator had ended its work"
        if in_a_fold:
            # The next aggregator takes seconds to start: what is new is the dead one's.
            kills += 1
            applied += _written(trial) > before
    assert applied, "no fold was applied whose caller was dead"
    trial.recovers(fault)
    trial.settle()


def _written(trial: Trial) -> int:
    """Size of the store's log of changes, in bytes."""
    return sum(file.stat().st_size for file in (trial.home / "redis/appendonlydir").iterdir())


def test_trial_8_device(trial: Trial) -> None:
    """The model's process hangs (SIGSTOP) and is SIGKILLed."""

    def device() -> int | None:
        found = children(trial.running("infer"))
        return next((pid for pid, command in found.items() if "spawn_main" in command), None)

    infer = trial.running("infer")
    portion = trial.posts // 6
    for sent in (signal.SIGSTOP, signal.SIGKILL):
        before = trial.progress("infer")
        trial.send_posts(portion)
        trial.wait_progress("infer", before + 1)
        pid = device()
        assert pid is not None
        os.kill(pid, sent)
        fault = Fault(trial, "infer")
        trial.send_posts(portion)
        until(lambda: not trial.ready("infer"), "infer is not ready", DEVICE_SECONDS)
        trial.recovers(fault)
        until(lambda: trial.ready("infer"), "infer is ready", 10)
        assert time.monotonic() - fault.at < DEVICE_SECONDS
        assert device() not in (None, pid)
        trial.send_posts(portion)
    assert trial.running("infer") == infer, "infer itself lives on"
    trial.settle()


def test_trial_12_rolling_restart(trial: Trial) -> None:
    """SIGTERM each worker in turn while posts flow, 2 rounds."""
    rounds = 2
    half = trial.posts // (2 * rounds * len(WORKERS))
    drained = 0.0
    for _ in range(rounds):
        for name in WORKERS:
            before = trial.progress(name)
            trial.send_posts(half)
            trial.wait_progress(name, before + 1)
            pid = trial.running(name)
            started = time.monotonic()
            trial.control("stopProcess", f"workers:{name}", True)
            drained = max(drained, time.monotonic() - started)
            fault = Fault(trial, name)
            trial.send_posts(half)
            trial.control("startProcess", f"workers:{name}", False)
            trial.recovers(fault)
            assert trial.running(name) != pid
    supervisor = (trial.home / "logs" / "supervisord.log").read_text()
    assert drained < DRAIN_SECONDS
    assert "SIGKILL" not in supervisor
    for name in WORKERS:
        assert (trial.home / "logs" / f"{name}.log").read_text().count("finishing the batch") == 2
    trial.settle()
