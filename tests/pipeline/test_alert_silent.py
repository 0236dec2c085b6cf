"""A wave of posts that nobody can read, or of which the model is not sure, is no spike."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from pipeline.alerts.backtest import Backtest
from pipeline.alerts.rules import Rules
from pipeline.event import SentimentEvent
from pipeline.rollups import Arrived
from tests.pipeline.planted import event, events

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTES, WAVE, RATE = 260, (130, 150), 30


def wave(kind: str) -> Iterator[SentimentEvent]:
    """Five times as many posts as usual, all of one kind."""
    for number in range((WAVE[1] - WAVE[0]) * RATE * 4):
        at = START + timedelta(minutes=WAVE[0], seconds=number * 15 / RATE)
        post = event(f"wave:{number}", at, "anger")
        if kind == "unread":
            yield msgspec.structs.replace(post, modalities=(), dominant=None, abstained=True)
        elif kind == "unread, by the version before":
            yield msgspec.structs.replace(post, modalities=(), abstained=True)
        else:
            yield msgspec.structs.replace(post, abstained=kind == "abstained")


@pytest.mark.parametrize(
    ("kind", "series"),
    [
        ("unread", set()),
        ("unread, by the version before", set()),
        ("abstained", set()),
        ("read", {"volume", "emotion:anger", "polarity:negative"}),
    ],
)
def test_only_posts_with_an_emotion_raise_alerts(kind: str, series: set[str]) -> None:
    backtest = Backtest(START + timedelta(minutes=MINUTES))
    feed = [*events(START, MINUTES, None, rate=RATE), *wave(kind)]
    backtest.add(Arrived(each, int(each.created_at.timestamp() * 1000)) for each in feed)
    changes = [alert for found in backtest.judge(Rules()) for alert in found]
    assert {alert.series for alert in changes if alert.state == "fired"} == series
