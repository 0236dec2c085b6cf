"""Sentiment events for tests: made from a few numbers, deterministic."""

import random
from datetime import UTC, datetime, timedelta

from pipeline.buckets import Scored
from pipeline.event import EMOTIONS, Emotions, Polarity, SentimentEvent

START = datetime(2026, 3, 1, tzinfo=UTC)
ARRIVAL_MS = int((START + timedelta(days=1)).timestamp() * 1000)


def scored(number: int, offset: int, seed: int = 0, tracks: tuple[str, ...] = ("all",)) -> Scored:
    """The event of post `number`, standing at `offset`. The same number is the same post."""
    rng = random.Random(f"{seed}/{number}")
    dominant = rng.choice(EMOTIONS)
    unread = number % 10 == 9
    negative = rng.randrange(0, 101) / 100
    positive = round(rng.uniform(0, 1 - negative), 2)
    event = SentimentEvent(
        id=f"weathervane:{number}",
        platform=rng.choice(["weathervane", "bluesky"]),
        author=None,
        created_at=START + timedelta(seconds=rng.randrange(0, 86_400)),
        scored_at=START,
        lang=rng.choice(["en", "zh-Hans", None, "not a language"]),
        tracks=tracks,
        modalities=() if unread else ("text",),
        emotions=Emotions(*(float(name == dominant) for name in EMOTIONS)),
        dominant=None if unread else dominant,
        polarity=Polarity(negative, round(1 - negative - positive, 2), positive),
        sentiment=round(positive - negative, 4),
        confidence=rng.random(),
        abstained=rng.random() < 0.1 or unread,
        conflict=0.0,
        by_modality={},
        model="test@0",
    )
    return Scored(event, offset, ARRIVAL_MS + offset, ARRIVAL_MS, number % 3, offset)
