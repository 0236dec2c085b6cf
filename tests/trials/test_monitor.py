"""Alerts whose monitor dies, and monitors that come and go."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice

import pytest

from pipeline.alerts.alert import Alert
from pipeline.event import SentimentEvent
from pipeline.topics import ROLLUPS
from tests.pipeline.planted import SPIKE_MINUTES, events, whole_minutes_ago
from tests.trials.harness import Fault, Trial
from tests.waiting import until
from tests.workers.monitoring import Monitoring, lines, states

pytestmark = [pytest.mark.trial, pytest.mark.timeout(3000)]
MINUTES, SPIKE = 240, 150
SERIES = {"volume", "emotion:anger", "polarity:negative"}
TRACKS = ("all", *(f"track {letter}" for letter in "abcdefgh"))
SECONDS = 300
"""Longest wait for the monitor: a trial is not about a busy machine."""


@pytest.fixture
def monitoring(trial: Trial) -> Iterator[Monitoring]:
    """The same servers, looked at as the monitor's tests do."""
    made = Monitoring(trial.kafka, trial.redis, trial.stack.folder)
    yield made
    made.close()


@pytest.mark.environment(MONITOR_IDLE_SECONDS=20)
def test_trial_21a_monitor_killed(trial: Trial, monitoring: Monitoring) -> None:
    """A planted spike; SIGKILL the monitor before and after it publishes; history replayed."""
    start = whole_minutes_ago(MINUTES)
    made = events(start, MINUTES, SPIKE, tracks=TRACKS)
    middle = start + timedelta(minutes=SPIKE + SPIKE_MINUTES // 2)
    # The end of the spike is held back: at the second kill its alerts are not cleared.
    first, second = _split(made, middle)
    sent = monitoring.feed(first)
    until(lambda: len(monitoring.read(ROLLUPS)) > 60, "there are rollups", SECONDS)
    before = trial.kill("monitor", "aggregate")
    assert monitoring.alerts() == [], "it was killed before it published"
    until(monitoring.alerts, "an alert is out", SECONDS)
    _recovered(trial, before)
    trial.kill("monitor", "aggregate")
    assert any(alert.state != "cleared" for alert in _last(monitoring.alerts()).values())
    sent += monitoring.feed(second)

    wanted = len(TRACKS) * len(SERIES)
    until(lambda: _cleared(monitoring) == wanted, "every alert is cleared", SECONDS)
    found = monitoring.alerts()
    _one_a_spike(trial, found, start + timedelta(minutes=SPIKE))

    trial.control("stopProcess", "workers:monitor", True)
    monitoring.from_the_beginning()
    trial.control("startProcess", "workers:monitor", False)
    until(monitoring.handled, "history was read again", SECONDS)
    assert monitoring.alerts() == found, "a replay publishes nothing"
    _counted(trial, monitoring, sent)


def test_trial_21b_monitors_come_and_go(trial: Trial, monitoring: Monitoring) -> None:
    """Three monitors under load: one joins, one is killed, one leaves; twice."""
    start = whole_minutes_ago(MINUTES)
    made = events(start, MINUTES, SPIKE, tracks=TRACKS)
    total = sum(1 for _ in events(start, MINUTES, SPIKE, tracks=TRACKS))
    portion = 1 + total // 8
    sent = 0
    for _ in range(2):
        sent += monitoring.feed(_next(made, portion))
        second = monitoring.start("second")
        sent += monitoring.feed(_next(made, portion))
        with monitoring.running("third"):
            sent += monitoring.feed(_next(made, portion))
            second.kill()
            sent += monitoring.feed(_next(made, portion))
    assert sent == total
    wanted = len(TRACKS) * len(SERIES)
    until(lambda: _cleared(monitoring) >= wanted, "every alert is cleared", 2 * SECONDS)
    until(monitoring.handled, "every rollup was handled", SECONDS)
    _one_a_spike(trial, monitoring.alerts(), start + timedelta(minutes=SPIKE))
    _counted(trial, monitoring, sent)


def _split(
    made: Iterator[SentimentEvent], end: datetime
) -> tuple[list[SentimentEvent], list[SentimentEvent]]:
    """Those from before `end`, and the others."""
    whole = list(made)
    before = [each for each in whole if each.created_at < end]
    return before, whole[len(before) :]


def _next(made: Iterator[SentimentEvent], count: int) -> list[SentimentEvent]:
    return list(islice(made, count))


def _last(alerts: Sequence[Alert]) -> dict[str, Alert]:
    return {alert.id: alert for alert in alerts}


def _cleared(monitoring: Monitoring) -> int:
    return sum(alert.state == "cleared" for alert in _last(monitoring.alerts()).values())


def _recovered(trial: Trial, fault: Fault) -> None:
    trial.row.recovery = time.monotonic() - fault.at


def _one_a_spike(trial: Trial, alerts: Sequence[Alert], onset: datetime) -> None:
    """One id a series, each of its sequences once, at the planted time."""
    found = states(alerts)
    doubled = [
        name
        for name, changes in found.items()
        if [number for number, _ in changes] != list(range(1, len(changes) + 1))
    ]
    wanted = {(track, series) for track in TRACKS for series in SERIES}
    ids = [(alert.track, alert.series) for alert in _last(alerts).values()]
    trial.row.double = len(doubled) + len(ids) - len(set(ids))
    trial.row.wrong = len(wanted ^ set(ids))
    assert (trial.row.double, trial.row.wrong) == (0, 0), lines(alerts)
    assert all(abs(alert.onset - onset) < timedelta(minutes=2) for alert in alerts)


def _counted(trial: Trial, monitoring: Monitoring, sent: int) -> None:
    """Every event in the count of each of its tracks, once, and none of them late."""
    found = monitoring.counts()
    posts = {track: counts.posts for track, counts in found.items()}
    trial.row.posts = sent
    trial.row.lost = sum(max(0, sent - posts.get(track, 0)) for track in TRACKS)
    assert posts == dict.fromkeys(TRACKS, sent)
    assert {track: counts.late for track, counts in found.items()} == dict.fromkeys(TRACKS, 0)
