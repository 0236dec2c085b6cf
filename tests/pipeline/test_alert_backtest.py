"""Rules tried on the past: what would fire, beside what did."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from pipeline.alerts.alert import Alert
from pipeline.alerts.backtest import Backtest, compare
from pipeline.alerts.rules import Rule, Rules
from pipeline.rollups import Arrived
from tests.pipeline.planted import events

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTES, SPIKE = 170, 130
END = START + timedelta(minutes=MINUTES)
ONSET = START + timedelta(minutes=SPIKE)


@pytest.fixture(scope="module")
def arrived() -> list[Arrived]:
    return [
        Arrived(event, int(event.created_at.timestamp() * 1000) + 500)
        for event in events(START, MINUTES, SPIKE)
    ]


def judged(batch: list[Arrived], rules: Rules, size: int = 700) -> list[Alert]:
    backtest = Backtest(END)
    for at in range(0, len(batch), size):
        backtest.add(batch[at : at + size])
    return [alert for changes in backtest.judge(rules) for alert in changes]


def test_the_planted_spike_fires_whatever_the_order_of_events(arrived: list[Arrived]) -> None:
    found = judged(arrived, Rules())
    assert {alert.series for alert in found} == {"volume", "emotion:anger", "polarity:negative"}
    assert all(abs(alert.onset - ONSET) < timedelta(minutes=2) for alert in found)
    shuffled = random.Random(1).sample(arrived, len(arrived))
    assert judged(shuffled, Rules(), size=90) == found


def test_stricter_rules_raise_less_and_it_is_said_beside_what_did(arrived: list[Arrived]) -> None:
    did = judged(arrived, Rules())
    strict = Rules([Rule(series=("emotion:anger",)), Rule(name="off", fire=900.0)])
    rows = compare(judged(arrived, strict), did, START)
    assert [(row.would is not None, row.did is not None) for row in rows].count((True, True)) == 1
    assert sum(row.would is None for row in rows) == 2
    later = compare([], did, END)
    assert later == [], "what fired before the range is no part of it"


def test_the_same_spike_may_begin_a_little_later(arrived: list[Arrived]) -> None:
    [would] = [alert for alert in judged(arrived, Rules()) if alert.series == "volume"][:1]
    shifted = msgspec.structs.replace(
        would, id="other", onset=would.onset + timedelta(minutes=3), sequence=4
    )
    [row] = compare([would], [shifted], START)
    assert (row.would, row.did) == (would, shifted)
    elsewhere = msgspec.structs.replace(shifted, track="games")
    assert len(compare([would], [elsewhere], START)) == 2
