"""A track's first day: its shares are believed before its counts are."""

from __future__ import annotations

import random

import pytest

from pipeline.alerts.rules import Rules
from pipeline.alerts.track import TrackMonitor
from pipeline.buckets import HOUR, MINUTE
from pipeline.rollups import SERIES, Cell, Rollup

START = 1_772_323_200
"""Midnight."""
ANGER, NEUTRAL = SERIES.index("emotion:anger"), SERIES.index("emotion:neutral")
BURST = 17 * HOUR // MINUTE
AFTER = 20
"""Minutes that the burst lasts."""


def cell(dice: random.Random, rate: float, anger: float) -> Cell:
    """A minute of about `rate` posts, each of them angry with the probability `anger`."""
    made = Cell()
    for _ in range(dice.randrange(2 * round(rate) + 1)):
        made.parts[0] += 1
        made.parts[ANGER if dice.random() < anger else NEUTRAL] += 1
    return made


@pytest.mark.parametrize("seed", range(4))
def test_a_burst_of_the_first_day_raises_its_share_beside_its_volume(seed: int) -> None:
    dice = random.Random(seed)
    minutes = {
        START + at * MINUTE: cell(dice, 2.0, 0.18) if at < BURST else cell(dice, 20.0, 0.48)
        for at in range(BURST + AFTER)
    }
    monitor = TrackMonitor("all")
    monitor.counts.add(Rollup(track="all", partition=0, first=0, last=0, minutes=minutes))
    found = monitor.close(START + (BURST + AFTER) * MINUTE, Rules())
    assert [alert.series for alert in found if alert.state == "fired"] == [
        "volume",
        "emotion:anger",
    ]
    onset = START + BURST * MINUTE
    assert all(abs(alert.onset.timestamp() - onset) <= 2 * MINUTE for alert in found)
