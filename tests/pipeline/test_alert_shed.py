"""Shedding under overload is no event: volumes and shares stand for what was shed as well."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import msgspec

from pipeline.alerts.backtest import Backtest
from pipeline.alerts.rules import Rules
from pipeline.event import SentimentEvent
from pipeline.rollups import Arrived
from pipeline.shedding import keeps
from tests.pipeline.planted import events

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTES, OVERLOAD = 260, (130, 170)
RATE, WEIGHT = 60, 5.0


def sampled(spike: int | None) -> Iterator[SentimentEvent]:
    """Of the posts of the overload only one in five, as infer publishes it."""
    first, last = (START + timedelta(minutes=minute) for minute in OVERLOAD)
    for event in events(START, MINUTES, spike, rate=RATE):
        if not first <= event.created_at < last:
            yield event
        elif keeps(event.id, WEIGHT):
            yield msgspec.structs.replace(event, weight=WEIGHT)


def fired(feed: Iterator[SentimentEvent]) -> dict[str, float]:
    """What was observed when alerts fired, by series."""
    backtest = Backtest(START + timedelta(minutes=MINUTES))
    backtest.add(Arrived(each, int(each.created_at.timestamp() * 1000)) for each in feed)
    changes = [alert for found in backtest.judge(Rules()) for alert in found]
    return {alert.series: alert.observed for alert in changes if alert.state == "fired"}


def test_neither_the_begin_nor_the_end_of_an_overload_raises_an_alert() -> None:
    assert fired(sampled(None)) == {}


def test_a_spike_within_the_overload_is_found_at_its_own_height() -> None:
    found = fired(sampled(OVERLOAD[0] + 15))
    assert found.keys() == {"volume", "emotion:anger", "polarity:negative"}
    assert found["volume"] > 2 * RATE, "of about 180 posts a minute 36 were scored"
