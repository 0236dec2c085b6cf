"""Live alerts equal their replay, whatever the order in which a backlog is read. No servers."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from pipeline.event import SentimentEvent
from tests.pipeline.planted import events
from tests.workers.backlog import Post, System, crc32, murmur2, spread

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOURS = 4
SPIKE = 150
Key = Callable[[SentimentEvent], int]


def planted(minutes: int = HOURS * 60, spike: int = SPIKE, rate: int = 60) -> list[SentimentEvent]:
    return list(events(START, minutes, spike, rate=rate, seed=5))


def after(seconds: float) -> Callable[[SentimentEvent], float]:
    """Live: it arrives so long after it was written."""
    return lambda event: (event.created_at - START).total_seconds() + seconds


def at_once(event: SentimentEvent) -> float:
    """A backlog: all of it is there."""
    return 0.0


def equal(system: System, alerts: int = 3) -> None:
    live, replayed = system.live(), system.replayed()
    assert len(replayed) >= alerts
    assert live == replayed
    assert system.late == 0


@pytest.mark.parametrize("members", [1, 2])
@pytest.mark.parametrize(("key", "topics"), [(murmur2, 1), (crc32, 1), (murmur2, 2), (crc32, 2)])
@pytest.mark.parametrize("infer", [150, 4000])
def test_a_backlog(key: Key, topics: int, members: int, infer: int) -> None:
    raw = spread(planted(), key, at_once, topics)
    origin = START + timedelta(hours=HOURS)
    system = System(raw, origin, members=members, infer=lambda now: infer)
    system.run(300)
    equal(system)


def test_monitors_that_come_and_go_meanwhile() -> None:
    raw = spread(planted(), crc32, at_once, 2)
    system = System(raw, START + timedelta(hours=HOURS))
    for members in (2, 4, 1, 3):
        system.run(20)
        system.begin(members)
    system.run(300)
    equal(system)


def test_a_days_backlog_of_two_topics() -> None:
    raw = spread(planted(23 * 60, 20 * 60, rate=12), murmur2, at_once, 2)
    system = System(raw, START + timedelta(hours=23, minutes=1))
    system.run(400)
    equal(system)


@pytest.mark.parametrize("minutes", [5, 30])
@pytest.mark.parametrize("key", [murmur2, crc32])
@pytest.mark.parametrize("stage", ["ingest", "infer"])
def test_an_outage_of_a_stage(minutes: int, key: Key, stage: str) -> None:
    raw = spread(planted(), key, after(1.5), 2)
    gone = (SPIKE + 5) * 60

    def away(now: float) -> int:
        return 0 if gone <= now < gone + minutes * 60 else 4

    def there(now: float) -> int:
        return 400

    ingest, infer = (away if stage == name else there for name in ("ingest", "infer"))
    system = System(raw, START, ingest=ingest, infer=infer)
    system.run(HOURS * 3600 + 900)
    equal(system)


def test_a_partition_that_is_hours_behind_and_silent_for_a_moment() -> None:
    every = planted(8 * 60, 200, rate=60)
    ahead = [each for each in every if murmur2(each) == 0]
    behind = [each for each in every if murmur2(each) == 1]

    def sent(event: SentimentEvent) -> float:
        return (event.created_at - START).total_seconds() / 60

    def pausing(event: SentimentEvent) -> float:
        at = sent(event) + 360  # six hours of events behind the other
        return at + 20 * (at > 400) + 20 * (at > 600)

    raw = [
        [Post(each, sent(each)) for each in ahead],
        [Post(each, pausing(each)) for each in behind],
    ]
    system = System(raw, START + timedelta(hours=9))
    system.run(2500)
    equal(system)


def disordered(seconds: float) -> Callable[[SentimentEvent], float]:
    """At live pace, each up to so much later than the ones around it."""

    def arrived(event: SentimentEvent) -> float:
        dice = random.Random(event.id)
        return after(dice.uniform(0, seconds))(event)

    return arrived


@pytest.mark.parametrize("key", [murmur2, crc32])
@pytest.mark.parametrize(
    ("rate", "arrived"),
    [(60, after(1.5)), (10, after(1.5)), (60, after(200)), (60, disordered(600))],
)
def test_live_alerts_come_no_later_than_by_the_newest_posts(
    key: Key, rate: int, arrived: Callable[[SentimentEvent], float]
) -> None:
    fired = []
    for stages in (True, False):
        raw = spread(planted(SPIKE + 40, rate=rate), key, arrived, 2)
        raw = [sorted(posts, key=lambda post: post.arrived) for posts in raw]
        system = System(raw, START, infer=lambda now: 400, stages=stages)
        system.run((SPIKE + 55) * 60)
        fired.append(system.fired)
    now, before = fired
    assert len(before) >= 2
    assert all(now[alert] <= at for alert, at in before.items())
