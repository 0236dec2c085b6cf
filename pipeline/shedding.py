"""Shedding: where the operator wants fresh figures, a sample of the posts is scored under overload.

How many is a function of the lag alone: no state is missed after a crash, and what falls with the
lag settles where as many posts are kept as can be scored. Which ones is told by a hash of the
id, which knows nothing of what a post says: each kept post stands for `weight` posts, so that
weighted sums are unbiased (Horvitz and Thompson 1952), and copies of one post that meet the same
weight meet the same fate.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from pipeline.bounds import Bounded, Id, Language, Platform, Tracks
from pipeline.errors import SettingsError
from pipeline.records import Record
from pipeline.settings import Settings
from pipeline.times import AwareTime

SPARSEST = 100.0
"""The largest weight: at least one post in so many is scored."""
FORGOTTEN_SECONDS = 60.0
"""A partition that had no turn for so long is empty, or another worker's by now."""
_DIGITS = 2
"""Of a weight, so that sums of weights are whole numbers of hundredths."""


class Shed(msgspec.Struct, frozen=True, kw_only=True):
    """One post that was not scored, as published to `shed`."""

    id: Id
    platform: Platform
    created_at: AwareTime
    shed_at: AwareTime
    lang: Language | None
    tracks: Tracks
    reason: str
    weight: float
    """How many posts each one stands for that was kept beside it."""


shed_decoder = Bounded(Shed)


@dataclass(frozen=True, slots=True)
class Shedding:
    """The policy `shed`: below `start` seconds of lag all is kept, from `full` on the fewest."""

    start: float
    full: float

    @classmethod
    def of(cls, settings: Settings) -> Shedding | None:
        """What the settings ask for; None where posts wait.

        Raises:
            SettingsError: the two bounds are the wrong way round.
        """
        if settings.overload == "wait":
            return None
        start, full = settings.overload_start_seconds, settings.overload_full_seconds
        if full <= start:
            raise SettingsError(
                f"overload_full_seconds ({full:g}) must be more than overload_start_seconds "
                f"({start:g})"
            )
        return cls(start, full)

    def weight(self, lag_seconds: float) -> float:
        """How many posts a kept one stands for: each second of lag takes the same share away."""
        part = min(1.0, max(0.0, (lag_seconds - self.start) / (self.full - self.start)))
        return round(math.pow(SPARSEST, part), _DIGITS)


class Behind:
    """How far behind a worker is: as far as that of its partitions which is furthest behind.

    Partitions take turns, so that a batch tells of one or two. Were each shed by its own lag, one
    with more posts than the others would not catch up, and weights would differ between them.
    """

    def __init__(self) -> None:
        self._turns: dict[int, tuple[float, float]] = {}
        """By partition the lag at its last turn and when that was, in seconds."""

    def lag(self, records: Sequence[Record], now: float) -> float:
        """In seconds, at `now` (epoch seconds), when these records of one topic were read."""
        oldest = {record.partition: record.timestamp for record in reversed(records)}
        for partition, timestamp in oldest.items():
            # A producer may write any time, or none (-1): then it is not known.
            self._turns[partition] = now - timestamp / 1000 if timestamp > 0 else 0.0, now
        recent = {p: turn for p, turn in self._turns.items() if now - turn[1] < FORGOTTEN_SECONDS}
        self._turns = recent
        return max(lag for lag, _ in recent.values())


def keeps(post_id: str, weight: float) -> bool:
    """Whether a post is scored: one in `weight`. One kept at a weight is kept at every smaller."""
    digest = hashlib.blake2b(
        post_id.encode("utf-8", "surrogatepass"), digest_size=8, person=b"shed"
    ).digest()
    return int.from_bytes(digest, "big") * weight < 2**64
