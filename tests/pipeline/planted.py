"""Sentiment events of some hours with one planted spike of anger, deterministic."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from pipeline.event import EMOTIONS, Emotion, Emotions, Polarity, SentimentEvent

SPIKE_MINUTES = 15
_CALM = (0.06, 0.02, 0.04, 0.3, 0.1, 0.05, 0.43)
"""Shares of the emotions, in the order of EMOTIONS, outside the spike."""


def whole_minutes_ago(minutes: int) -> datetime:
    """The start of a minute, so that a feed from there falls into the same minutes each time: cut
    otherwise, one in a few hundred of its spikes is missed by a detector that is three hours old.
    """
    return datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=minutes)


def events(
    start: datetime,
    minutes: int,
    spike: int | None,
    *,
    rate: int = 12,
    seed: int = 1,
    tracks: tuple[str, ...] = ("all",),
) -> Iterator[SentimentEvent]:
    """`rate` posts a minute; from minute `spike` on, for a quarter of an hour, thrice as many, most
    of them angry. In the order of their times.
    """
    dice = random.Random(seed)
    number = 0
    for minute in range(minutes):
        inside = spike is not None and spike <= minute < spike + SPIKE_MINUTES
        posts = dice.randrange(rate - 3, rate + 4) * (3 if inside else 1)
        seconds = sorted(dice.uniform(0, 60) for _ in range(posts))
        for second in seconds:
            angry = inside and dice.random() < 0.8
            dominant: Emotion = "anger" if angry else dice.choices(EMOTIONS, _CALM)[0]
            number += 1
            yield event(
                f"weathervane:{seed}-{number}",
                start + timedelta(minutes=minute, seconds=second),
                dominant,
                tracks,
            )


def event(
    name: str, created: datetime, dominant: Emotion, tracks: tuple[str, ...] = ("all",)
) -> SentimentEvent:
    """One event of this emotion."""
    joy, calm = dominant == "joy", dominant in ("neutral", "surprise")
    negative = 0.1 if joy or calm else 0.8
    positive = 0.8 if joy else 0.1
    return SentimentEvent(
        id=name,
        platform="weathervane",
        author=None,
        created_at=created,
        scored_at=datetime.now(UTC),
        lang="en",
        tracks=tracks,
        modalities=("text",),
        emotions=Emotions(*(float(emotion == dominant) for emotion in EMOTIONS)),
        dominant=dominant,
        polarity=Polarity(negative, round(1 - negative - positive, 2), positive),
        sentiment=round(positive - negative, 2),
        confidence=0.9,
        abstained=False,
        conflict=0.0,
        by_modality={},
        model="test@0",
    )
