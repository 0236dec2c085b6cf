"""Rollups: what a batch of `sentiment` adds to each track, minute by minute. Pure.

`rollups` holds two kinds of records, told apart by `type`:

- a `Rollup`, keyed by its track: the sums over one batch of one partition of `sentiment`. The
  batches of a partition follow one another, so that a repeat is known by its offsets.
- a `Progress`, without a key, sent to every partition of `rollups`: how far in event time one
  partition of `sentiment` has come. What it had before is in the records before it.

Guarantee. A minute is complete once `Clock.complete` is past it: no post of it follows that had
reached its raw topic by then, in whatever order the stages read it, nor one that reaches it later
and is at most `lateness` older than the newest before it. A post from the future (dated later than
its arrival by more than `FUTURE_MS`) or older than `OLDEST_MS` at its arrival is counted apart and
moves nothing. A post that has no emotion, because the model abstained or nothing was read, moves
the clock and is in no series, that of all posts included: shares are of the posts that have one. A
partition of which nothing came for a while holds nobody for as long as it says
so: it has told all that it knew. But only what is near is waived (`Clock.hear`): one that is hours
behind the others and silent for a moment is behind, and not empty.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from pipeline.buckets import FUTURE_MS, MINUTE, WEIGHT_SCALE
from pipeline.event import EMOTIONS, POLARITIES, SentimentEvent
from pipeline.times import epoch_ms

OLDEST_MS = 25 * 3_600_000
"""A post that was older than this when it arrived says nothing about now."""
SILENT_SECONDS = 600.0
"""A partition that was silent for this long holds nobody, however far the others are."""
_NEAR_MS = 3_600_000
"""Where all partitions are silent, one that is behind the others by less than this is waived."""
_SAID_MS = 10_000
"""What a partition says of its silence may be this old."""
VOLUME = "volume"
SERIES = (
    VOLUME,
    *(f"emotion:{name}" for name in EMOTIONS),
    *(f"polarity:{name}" for name in POLARITIES),
)
"""Every series of a track, in the order of `Cell.parts`."""
_OF_POLARITY = 1 + len(EMOTIONS)
_PLACE = {name: place for place, name in enumerate(SERIES)}
_CONFLICT = 10_000
_MOST_NAMES = 32
"""Languages or platforms told apart in one cell; the rest are `other`."""
_OTHER = "other"


class Cell(msgspec.Struct):
    """Sums over the posts of one track and minute. Integers: sums are exact in any order."""

    parts: list[int] = msgspec.field(default_factory=lambda: [0] * len(SERIES))
    """Posts that have an emotion, by series: all, by dominant emotion, by most probable
    polarity."""
    languages: dict[str, int] = {}
    platforms: dict[str, int] = {}
    conflict: int = 0
    """Sum of the conflicts, in ten-thousandths."""
    beside: list[int] = []
    """By series, what its posts stand for beside themselves, in hundredths of a post; empty where
    nothing was shed."""

    @property
    def posts(self) -> int:
        """All posts."""
        return self.parts[0]

    @property
    def mean_conflict(self) -> float | None:
        """0-1; None without posts."""
        return self.conflict / _CONFLICT / self.posts if self.posts else None

    def count(self, event: SentimentEvent) -> None:
        """Add one post, which has an emotion."""
        emotion, polarity = event.dominant, event.polarity.dominant
        places = (0, _PLACE[f"emotion:{emotion}"], _PLACE[f"polarity:{polarity}"])
        beside = round((event.weight - 1) * WEIGHT_SCALE)
        if beside and not self.beside:
            self.beside = [0] * len(SERIES)
        for place in places:
            self.parts[place] += 1
            if beside:
                self.beside[place] += beside
        _add(self.languages, (event.lang or "und").split("-")[0].lower()[:3], 1)
        _add(self.platforms, event.platform, 1)
        self.conflict += round(event.conflict * _CONFLICT)

    def add(self, other: Cell) -> None:
        """Add another cell's sums."""
        self.parts = summed(self.parts, other.parts)
        self.beside = summed(self.beside, other.beside)
        for name, posts in other.languages.items():
            _add(self.languages, name, posts)
        for name, posts in other.platforms.items():
            _add(self.platforms, name, posts)
        self.conflict += other.conflict


class Rollup(msgspec.Struct, tag_field="type", tag="rollup", kw_only=True):
    """What the records `first` to `last` of one partition of `sentiment` add to one track."""

    track: str
    partition: int
    first: int
    last: int
    minutes: dict[int, Cell]
    """By the start of the minute, epoch seconds."""
    outside: int = 0
    """Posts dated in the future or too long ago, which are in no minute."""
    silent: int = 0
    """Posts without an emotion, which are in no minute either."""


class Progress(msgspec.Struct, tag_field="type", tag="progress", kw_only=True):
    """How far one partition of `sentiment` has come."""

    partition: int
    newest: int
    """Newest event time, epoch milliseconds; 0 where its reader has seen no post yet."""
    idle: bool
    """Nothing has come for a while: the partition holds nobody."""
    sure: int | None = None
    """Everything older than this has been counted, but for late posts; epoch milliseconds. Null
    where it is not known, and what is older than the newest by the lateness is taken for it."""
    at: int = 0
    """When this was said, epoch milliseconds; 0: it is not known."""


Record = Rollup | Progress
decoder = msgspec.json.Decoder(Record)


class Arrived(NamedTuple):
    """One event, and when it reached Kafka (epoch milliseconds)."""

    event: SentimentEvent
    timestamp: int


class Source:
    """How far one partition of `sentiment` has come. `now` is any steady clock, in seconds."""

    def __init__(self, partition: int, idle_seconds: float, now: float) -> None:
        self.partition = partition
        self._idle_seconds = idle_seconds
        self.newest = 0
        """Newest event time, epoch milliseconds; 0: none was seen."""
        self.delay_ms = 0
        """From the creation of the newest one to its arrival."""
        self.busy_at = now
        """When posts last came."""

    def saw(self, newest_ms: int, now: float, delay_ms: int = 0) -> None:
        """Posts came, the newest of them of this event time, which arrived so much later."""
        if newest_ms > self.newest:
            self.newest, self.delay_ms = newest_ms, delay_ms
        self.busy_at = now

    def silent(self, now: float) -> bool:
        """Whether nothing has come for a while."""
        return now - self.busy_at >= self._idle_seconds

    def progress(self, now: float, waiting: bool, sure: int | None = None, at: int = 0) -> Progress:
        """Where it stands; `waiting` says whether posts are on their way through earlier stages:
        then nothing is sure but what is said to be.
        """
        idle = self.silent(now) and not waiting
        sure = 0 if waiting and sure is None else sure
        return Progress(partition=self.partition, newest=self.newest, idle=idle, sure=sure, at=at)


class Heard(msgspec.Struct):
    """What is known of one partition of `sentiment`; times in epoch milliseconds."""

    newest: int = 0
    watermark: int = 0
    """What comes is younger, but for late posts."""
    idle: bool = False
    told: int = 0
    """Up to where it was waived when it last said that it is idle."""
    busy_at: int = 0
    """When it last said that posts come, or first said anything; 0: it is not known."""

    @property
    def sure(self) -> int:
        """How far it is certain that nothing older comes."""
        return max(self.watermark, self.told) if self.idle else self.watermark


class Clock:
    """The event time up to which all of `sentiment` has been counted.

    `sources` partitions: until each of them was heard, nothing is complete. `heard` is what an
    earlier clock knew; that a partition was idle then says nothing about now.
    """

    def __init__(
        self, sources: int, lateness_ms: int, heard: dict[int, Heard] | None = None
    ) -> None:
        self._sources, self._lateness_ms = sources, lateness_ms
        self.heard = heard or {}
        for each in self.heard.values():
            each.idle = False
        self.complete = 0
        """Epoch milliseconds; only ever more."""

    def hear(self, progress: Progress) -> int:
        """Take note of a partition; what is complete now.

        Once it is idle, the lateness is waived: nothing older is to come, nor anything of the time
        up to which the others have come, where that is near. Of what they tell later it has to say
        so again, since its reader may have died and left posts unread.
        """
        source = self.heard.setdefault(progress.partition, Heard())
        busy = progress.newest and (progress.newest > source.newest or not progress.idle)
        if busy or not (source.newest or source.busy_at):
            source.busy_at = max(source.busy_at, progress.at)
        source.newest = max(source.newest, progress.newest)
        source.idle = progress.idle
        sure = source.newest - self._lateness_ms if progress.sure is None else progress.sure
        source.watermark = max(source.watermark, source.newest if source.idle else sure)
        if source.idle:
            source.told = self._waived(source, progress.at)
        if len(self.heard) >= self._sources:
            self.complete = max(self.complete, min(each.sure for each in self.heard.values()))
        return self.complete

    def _waived(self, source: Heard, at: int) -> int:
        """Up to where nothing is expected of an idle partition, at this time.

        Its event time is taken to go on as the clock does, so that at live speed it is level with
        the others. One that falls behind them within seconds may have its posts still to come.
        """
        newest = max(each.newest for each in self.heard.values())
        silence = at - source.busy_at
        all_idle = all(each.idle for each in self.heard.values())
        near = newest - source.newest <= _NEAR_MS or not source.newest
        if not source.busy_at or silence >= SILENT_SECONDS * 1000 or (all_idle and near):
            return newest
        return min(newest, source.newest + silence + _SAID_MS - self._lateness_ms)


def roll_up(
    partition: int, first: int, last: int, batch: Iterable[Arrived]
) -> tuple[list[Rollup], int]:
    """The rollups of one batch, by track, and its newest event time (epoch milliseconds; 0: none).

    The batch is what stands between the offsets `first` and `last` of the partition.
    """
    rollups: dict[str, Rollup] = {}
    newest = 0
    for event, timestamp in batch:
        created = epoch_ms(event.created_at)
        inside = timestamp - OLDEST_MS <= created <= timestamp + FUTURE_MS
        if inside:
            newest = max(newest, min(created, timestamp))
        seconds = created // 1000
        minute = seconds - seconds % MINUTE
        for track in event.tracks:
            rollup = rollups.get(track)
            if rollup is None:
                rollup = Rollup(
                    track=track, partition=partition, first=first, last=last, minutes={}
                )
                rollups[track] = rollup
            if not inside:
                rollup.outside += 1
            elif event.mood is None:
                rollup.silent += 1
            else:
                rollup.minutes.setdefault(minute, Cell()).count(event)
    return list(rollups.values()), newest


def summed(one: list[int], other: list[int]) -> list[int]:
    """The sums by series; an empty list is one of zeros."""
    if not one or not other:
        return list(one or other)
    return [mine + theirs for mine, theirs in zip(one, other, strict=True)]


def stands_for(parts: list[int], beside: list[int]) -> list[float]:
    """Posts that there would be by series if nothing had been shed, given `Cell.parts` and
    `Cell.beside`: an unbiased estimate (pipeline.shedding).
    """
    if not beside:
        return [float(posts) for posts in parts]
    return [posts + more / WEIGHT_SCALE for posts, more in zip(parts, beside, strict=True)]


def _add(into: dict[str, int], name: str, posts: int) -> None:
    if name not in into and len(into) >= _MOST_NAMES:
        name = _OTHER
    into[name] = into.get(name, 0) + posts
