"""Hours of posts with members that come and go: nothing grows, nothing stands still."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial

import pytest
from kafka import KafkaConsumer

from pipeline.clients import consumer
from pipeline.settings import Settings
from tests.trials.flow import flowing, repeating
from tests.trials.harness import PROGRESS_SECONDS, WORKERS, Trial, children
from tests.trials.oracle import RAW
from tests.trials.usage import MEBIBYTE, Usage, slope, usage
from tests.waiting import until

pytestmark = [pytest.mark.trial, pytest.mark.timeout(4 * 3600)]
INPUT = {"ingest": RAW, "infer": "posts", "aggregate": "sentiment"}
JOIN_SECONDS = 120
RATE = 4.0
"""Posts a second: the soak is about time, not about load."""
SAMPLE_SECONDS = 5.0
REBALANCE_SECONDS = 60.0
WARM_UP = 1 / 3
"""The part of the run before which growth is not looked at."""
GROWTH_BYTES = 12 * MEBIBYTE
GROWTH_SHARE = 0.05
"""Largest growth of a worker's memory after the warm-up: both are within the noise of minutes."""


@dataclass
class Watched:
    """What was seen of one worker, its children included."""

    pid: int
    times: list[float] = field(default_factory=list)
    seen: list[Usage] = field(default_factory=list)

    def sample(self) -> None:
        self.times.append(time.monotonic())
        self.seen.append(usage([self.pid, *children(self.pid)]))

    def growth(self) -> tuple[float, float]:
        """Bytes and descriptors that it grew by from the end of the warm-up to the end."""
        first = int(len(self.times) * WARM_UP)
        times, seen = self.times[first:], self.seen[first:]
        length = times[-1] - times[0]
        held = slope(times, [each.bytes for each in seen]) * length
        return held, slope(times, [each.descriptors for each in seen]) * length


@dataclass
class Stage:
    """How far a stage is, and since when it has been there."""

    name: str
    at: int = -1
    moved: float = field(default_factory=time.monotonic)
    longest: float = 0.0

    def look(self, trial: Trial) -> None:
        at, now = trial.progress(self.name), time.monotonic()
        self.longest = max(self.longest, now - self.moved)
        if at != self.at:
            self.at, self.moved = at, now


@pytest.mark.environment(DEVICE_TIMEOUT_SECONDS=120)
def test_trial_25_soak(trial: Trial, pytestconfig: pytest.Config) -> None:
    """Soak with two rebalances of each group a minute."""
    minutes = float(pytestconfig.getoption("soak_minutes"))
    names = (*WORKERS, "api")
    watched = {name: Watched(trial.running(name)) for name in names}
    stages = [Stage(name) for name in WORKERS]
    rebalances = 0
    end = time.monotonic() + 60 * minutes

    def look() -> None:
        for each in watched.values():
            each.sample()
        for stage in stages:
            stage.look(trial)

    with flowing(trial, RATE), repeating(look, SAMPLE_SECONDS):
        while time.monotonic() < end:
            turn = time.monotonic() + REBALANCE_SECONDS
            for role in WORKERS:
                _come_and_go(trial, role)
                rebalances += 1
            time.sleep(max(0.0, turn - time.monotonic()))
    assert rebalances >= minutes, "there were fewer comings and goings than minutes"
    for name, each in watched.items():
        assert trial.running(name) == each.pid, f"{name} was restarted"
    growth = {name: each.growth() for name, each in watched.items()}
    worst = max(held for held, _ in growth.values())
    stall = max(stage.longest for stage in stages)
    trial.row.fault = (
        f"Soak: {minutes:.0f} min, {RATE:.0f} posts/s, {2 * rebalances} rebalances; a worker's "
        f"memory grew by {worst / MEBIBYTE:.1f} MiB, the longest standstill was under {stall:.0f} s"
    )
    for name, (held, descriptors) in growth.items():
        start = watched[name].seen[int(len(watched[name].seen) * WARM_UP)].bytes
        assert held < max(GROWTH_BYTES, GROWTH_SHARE * start), (name, held, start)
        assert descriptors < 1, (name, descriptors)
    assert stall < PROGRESS_SECONDS, [(stage.name, stage.longest) for stage in stages]
    trial.settle()


def _come_and_go(trial: Trial, role: str) -> None:
    """Join the group of a role until partitions are given over, then leave: two rebalances.

    Nothing is done with the partitions, and nothing committed: whoever gets them back goes on.
    """
    settings = Settings(kafka=trial.kafka, name="visitor")
    with closing(consumer(settings, role, group_instance_id=None)) as visitor:
        visitor.subscribe([INPUT[role]])
        joined = partial(_has_partitions, visitor)
        until(joined, f"a member more of {role} has partitions", JOIN_SECONDS)
        assert len(trial.members(role)) == 2


def _has_partitions(visitor: KafkaConsumer) -> bool:
    visitor.poll(timeout_ms=200)
    return bool(visitor.assignment())
