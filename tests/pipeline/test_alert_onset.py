"""When a spike began: not with the chance that came before it."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from pipeline.alerts.backtest import Backtest
from pipeline.alerts.onset import Stretch, lengthen, since_onset
from pipeline.alerts.rules import Rules
from pipeline.buckets import MINUTE
from pipeline.rollups import Arrived, Cell
from tests.pipeline.planted import events

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


def minutes(deviations: Sequence[float]) -> list[Stretch]:
    """One a deviation, with 10 posts of the series among 20; NaN is a minute without a value."""
    return [
        Stretch(at * MINUTE, Cell([20, *[0] * 10]), 10, 0, 0.0)
        if math.isnan(deviation)
        else Stretch(at * MINUTE, Cell([20, *[0] * 10]), 10, 1, deviation)
        for at, deviation in enumerate(deviations)
    ]


def onset(deviations: Sequence[float]) -> Stretch:
    rise: list[Stretch] = []
    for minute in minutes(deviations):
        lengthen(rise, minute)
    return since_onset(rise)


@pytest.mark.parametrize(
    ("deviations", "begins"),
    [
        ([6.0], 0),
        ([2.3, 0.3, 6.4], 2),
        ([2.3, 0.3, 6.4, 8.5, 5.7], 2),
        ([5.0, 1.0, 5.0, 1.0], 0),
        ([1.5, 3.0, 5.0, 6.0], 1),
        ([2.1, *[0.1] * 4, *[1.5] * 12], 5),
        ([2.1, -3.0, -3.0], 0),
        ([3.0, math.nan, math.nan, 3.0], 0),
        ([2.1, 0.0, math.nan, 9.0], 3),
    ],
)
def test_a_rise_begins_where_the_level_changed(deviations: list[float], begins: int) -> None:
    found = onset(deviations)
    assert found.start == begins * MINUTE
    assert found.posts == 10 * (len(deviations) - begins)
    assert found.cell.posts == 2 * found.posts


def test_stretches_put_together_hide_no_better_start() -> None:
    dice = random.Random(1)
    for _ in range(300):
        level, calm, length = dice.uniform(0, 3), dice.randrange(8), dice.randrange(1, 40)
        deviations = [dice.gauss(level if at >= calm else 0.0, 1) for at in range(length)]
        likely = [max(0.0, sum(deviations[at:])) ** 2 / (length - at) for at in range(length)]
        if max(likely) > 0:
            assert likely[onset(deviations).start // MINUTE] == pytest.approx(max(likely))


@pytest.mark.parametrize("second", [0, 7, 23, 41])
def test_the_planted_spike_begins_in_its_minute_wherever_the_minutes_are_cut(second: int) -> None:
    start = START + timedelta(seconds=second)
    backtest = Backtest(start + timedelta(minutes=170))
    backtest.add(
        Arrived(event, int(event.created_at.timestamp() * 1000))
        for event in events(start, 170, 150)
    )
    found = [alert for changes in backtest.judge(Rules()) for alert in changes]
    assert {alert.series for alert in found} == {"volume", "emotion:anger", "polarity:negative"}
    planted = start + timedelta(minutes=150)
    assert all(abs(alert.onset - planted) < timedelta(minutes=1) for alert in found)
