"""Hours of posts with members that come and go: nothing grows, nothing stands still."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle

import pytest

from tests.trials.flow import flowing, repeating
from tests.trials.harness import PROGRESS_SECONDS, WORKERS, Trial, children
from tests.trials.usage import MEBIBYTE, Usage, slope, usage
from tests.waiting import until

pytestmark = [pytest.mark.trial, pytest.mark.timeout(4 * 3600)]
RATE = 8.0
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


def test_trial_25_soak(trial: Trial, pytestconfig: pytest.Config) -> None:
    """Soak with two rebalances a minute."""
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
        for role in cycle(WORKERS):
            turn = time.monotonic() + REBALANCE_SECONDS
            # One member more for half of the minute: the group shares its partitions out twice.
            with trial.another(role):
                time.sleep(max(0.0, turn - REBALANCE_SECONDS / 2 - time.monotonic()))
            until(partial(_alone, trial, role), f"one {role} is left", 30)
            rebalances += 2
            time.sleep(max(0.0, turn - time.monotonic()))
            if time.monotonic() >= end:
                break
    assert rebalances >= minutes, "there were fewer rebalances than minutes"
    for name, each in watched.items():
        assert trial.running(name) == each.pid, f"{name} was restarted"
    growth = {name: each.growth() for name, each in watched.items()}
    worst = max(held for held, _ in growth.values())
    stall = max(stage.longest for stage in stages)
    trial.row.fault = (
        f"Soak of {minutes:.0f} min at {RATE:.0f} posts/s with {rebalances} rebalances: the memory "
        f"of a worker grew by {worst / MEBIBYTE:.1f} MiB at most, no stage stood still for {stall:.0f} s"
    )
    for name, (held, descriptors) in growth.items():
        start = watched[name].seen[int(len(watched[name].seen) * WARM_UP)].bytes
        assert held < max(GROWTH_BYTES, GROWTH_SHARE * start), (name, held, start)
        assert descriptors < 1, (name, descriptors)
    assert stall < PROGRESS_SECONDS, [(stage.name, stage.longest) for stage in stages]
    trial.settle()


def _alone(trial: Trial, role: str) -> bool:
    return len(trial.members(role)) == 1
