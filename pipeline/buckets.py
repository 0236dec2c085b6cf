"""What is counted: sentiment events summed into bucket deltas. Pure: no clock, no store.

Fields of a bucket: `n` posts; `j:emotion|polarity`, `s` (the sum of sentiments) and `w:…` (what
they stand for beside themselves) of the posts that have an emotion; `u` and `a` those of which
nothing was read or of which the model was not sure, `w:unread` and `w:abstained` likewise;
`p:platform`, `l:language` and `late` of all; `shed`. So `n` = sum of `j:` + `u` + `a`.

Versions before counted abstained posts under their emotion and once more in a field `abstained`.
They stay where they are counted, and that field is not read.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from pipeline.event import SentimentEvent
from pipeline.times import epoch_ms

MINUTE, HOUR, DAY = 60, 3600, 86_400
LEVELS = {"m": MINUTE, "h": HOUR, "d": DAY}
"""Bucket widths in seconds, each kept on its own so that long ranges stay cheap to read."""
SENTIMENT_SCALE = 10_000
"""Sentiment is summed as a whole number of these parts: integer sums are exact in any order."""
WEIGHT_SCALE = 100
"""Likewise what a post stands for beside itself."""
FUTURE_MS = 300_000
"""A post dated further ahead of its arrival than this does not move the watermark."""
_ABSTAINED, _UNREAD = "abstained", "unread"
EXEMPLARS_A_BUCKET = 8
NEWEST_KEPT = 50


class Counts(msgspec.Struct):
    """Sums over some posts."""

    posts: int = 0
    emotions: dict[str, int] = {}
    """Posts by dominant emotion. These, `abstained` and `unread` add up to `posts`."""
    polarity: dict[str, int] = {}
    """The same posts by most probable polarity."""
    joint: dict[str, int] = {}
    """Posts by "emotion|polarity"."""
    platforms: dict[str, int] = {}
    languages: dict[str, int] = {}
    late: int = 0
    abstained: int = 0
    """Posts of which the model was not sure enough: in no emotion and no polarity."""
    unread: int = 0
    """Posts of which nothing could be read: likewise."""
    shed: int = 0
    """Posts left unscored under overload; all else is about those that were scored."""
    weighted: dict[str, float] = {}
    """Like `joint`, with `abstained` and `unread` beside it, each post counted as many as it
    stands for: the sum estimates `posts` + `shed`. Empty where nothing was shed."""
    sentiment: float = 0.0
    """Mean over the posts that have an emotion, -1 to 1; 0 where there are none."""


class Bucket(msgspec.Struct):
    """The counts of one stretch of event time; `start` in epoch seconds."""

    start: int
    counts: Counts


class Exemplar(msgspec.Struct, frozen=True):
    """A post worth showing: what was said of it, and where in `posts` it stands."""

    id: str
    created_at: int
    """Epoch milliseconds."""
    lang: str | None
    platform: str
    dominant: str
    polarity: str
    confidence: float
    sentiment: float
    modalities: tuple[str, ...]
    conflict: float
    abstained: bool
    partition: int | None
    offset: int | None
    needs: tuple[str, ...] = ()
    """Places, "partition:hash", of what it is hidden with: itself, what it repeats, its authors."""


class Scored(NamedTuple):
    """One event as read from `sentiment`."""

    event: SentimentEvent
    offset: int
    timestamp: int
    """Kafka's time of the record, epoch milliseconds: orders the horizon of duplicates."""
    received: int | None
    post_partition: int | None
    post_offset: int | None


class BucketKey(NamedTuple):
    """Names one bucket: a level of LEVELS, its start in epoch seconds, a track."""

    level: str
    start: int
    track: str


Fields = dict[str, int]
Ranked = tuple[int, Exemplar]
"""An exemplar behind the time that it takes its place among the newest by, epoch milliseconds."""


@dataclass(slots=True)
class Deltas:
    """What a batch adds. Every field is a sum or a bounded set: order within it is free."""

    buckets: dict[BucketKey, Fields] = field(default_factory=dict)
    totals: dict[str, Fields] = field(default_factory=dict)
    by_bucket: dict[tuple[str, int], list[Exemplar]] = field(default_factory=dict)
    newest: dict[tuple[str, str], list[Ranked]] = field(default_factory=dict)
    late: int = 0
    watermark: int = 0
    """Highest event time so far, epoch milliseconds."""


def sum_deltas(batch: Iterable[Scored], watermark: int, lateness_ms: int) -> Deltas:
    """Sum a batch of distinct events, starting from the watermark that was stored before it."""
    buckets: dict[BucketKey, Fields] = defaultdict(lambda: defaultdict(int))
    totals: dict[str, Fields] = defaultdict(lambda: defaultdict(int))
    by_bucket: dict[tuple[str, int], list[Exemplar]] = defaultdict(list)
    newest: dict[tuple[str, str], list[Ranked]] = defaultdict(list)
    late_posts = 0
    for scored in batch:
        event = scored.event
        created = epoch_ms(event.created_at)
        late = created < watermark - lateness_ms
        late_posts += late
        if created <= scored.timestamp + FUTURE_MS:
            watermark = max(watermark, created)
        fields = _fields(event, late)
        mood = event.mood
        exemplar = _exemplar(scored, created, mood) if mood else None
        rank = _rank(scored, created)
        seconds = created // 1000
        for track in event.tracks:
            targets = [totals[track]]
            for level, width in LEVELS.items():
                targets.append(buckets[BucketKey(level, seconds - seconds % width, track)])
            for target in targets:
                for name, amount in fields:
                    target[name] += amount
            if exemplar is not None:
                by_bucket[track, seconds - seconds % MINUTE].append(exemplar)
                newest[track, exemplar.dominant].append((rank, exemplar))
    for kept in by_bucket.values():
        kept.sort(key=lambda e: -e.confidence)
        del kept[EXEMPLARS_A_BUCKET:]
    for latest in newest.values():
        latest.sort(key=lambda ranked: -ranked[0])
        del latest[NEWEST_KEPT:]
    return Deltas(buckets, totals, by_bucket, newest, late_posts, watermark)


def _rank(scored: Scored, created: int) -> int:
    """A post dated far ahead of its arrival takes the place of its arrival: by its date it would
    be the newest for years."""
    arrived = scored.timestamp if scored.received is None else scored.received
    return created if created <= arrived + FUTURE_MS else arrived


def counts_of(fields: Sequence[Fields]) -> Counts:
    """The counts that the stored fields of the same bucket, one set a partition, add up to."""
    counts = Counts()
    sums: dict[str, int] = {}
    beside: dict[str, int] = {}
    for name, amount in ((n, a) for part in fields for n, a in part.items()):
        kind, _, value = name.partition(":")
        if kind == "j":
            emotion, _, polarity = value.partition("|")
            _add(counts.joint, value, amount)
            _add(counts.emotions, emotion, amount)
            _add(counts.polarity, polarity, amount)
        elif kind == "p":
            _add(counts.platforms, value, amount)
        elif kind == "l":
            _add(counts.languages, value, amount)
        elif kind == "w":
            _add(beside, value, amount)
        else:
            _add(sums, kind, amount)
    counts.posts, counts.late, counts.shed = (sums.get(name, 0) for name in ("n", "late", "shed"))
    counts.abstained, counts.unread = sums.get("a", 0), sums.get("u", 0)
    with_emotion = sum(counts.joint.values())
    if with_emotion:
        counts.sentiment = sums.get("s", 0) / SENTIMENT_SCALE / with_emotion
    if beside:
        silent = {_ABSTAINED: counts.abstained, _UNREAD: counts.unread}
        counts.weighted = {
            name: posts + beside.get(name, 0) / WEIGHT_SCALE
            for name, posts in (counts.joint | silent).items()
            if posts
        }
    return counts


def _add(into: dict[str, int], name: str, amount: int) -> None:
    into[name] = into.get(name, 0) + amount


def _fields(event: SentimentEvent, late: bool) -> list[tuple[str, int]]:
    language = (event.lang or "und").split("-")[0].lower()
    if not (language.isascii() and language.isalpha() and len(language) <= 3):
        language = "und"
    fields = [("n", 1), (f"p:{event.platform}", 1), (f"l:{language}", 1)]
    if event.mood is not None:
        cell = f"{event.mood}|{event.polarity.dominant}"
        fields += [(f"j:{cell}", 1), ("s", round(event.sentiment * SENTIMENT_SCALE))]
    else:
        cell = _UNREAD if event.unread else _ABSTAINED
        fields.append((cell[0], 1))
    if late:
        fields.append(("late", 1))
    if event.weight != 1:
        fields.append((f"w:{cell}", round((event.weight - 1) * WEIGHT_SCALE)))
    return fields


def _exemplar(scored: Scored, created: int, dominant: str) -> Exemplar:
    event = scored.event
    return Exemplar(
        id=event.id,
        created_at=created,
        lang=event.lang,
        platform=event.platform,
        dominant=dominant,
        polarity=event.polarity.dominant,
        confidence=event.confidence,
        sentiment=event.sentiment,
        modalities=event.modalities,
        conflict=event.conflict,
        abstained=event.abstained,
        partition=scored.post_partition,
        offset=scored.post_offset,
    )
