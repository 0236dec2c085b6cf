"""One track as the monitor sees it: its open minutes, its detector, its alerts. Pure.

Two states, kept apart because the first changes with every batch and the second once a minute.
`Counts` alone says which minutes are closed and which rollups were counted, so that taking in a
rollup again changes nothing. `Watch` may be ahead of it after a crash: what it judged it does not
judge again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import msgspec
import numpy as np

from pipeline.alerts.alert import Alert, AlertCommand
from pipeline.alerts.lifecycle import Life, Reading, command, step
from pipeline.alerts.rules import Rules
from pipeline.buckets import DAY, HOUR, MINUTE
from pipeline.rollups import SERIES, Cell, Rollup, stands_for, summed
from pipeline.spikes import Detector, Judgement, Tuning, judge

_THURSDAY = 72
"""Hours of the week at the epoch, which was a Thursday."""
_TUNING = Tuning().per(MINUTE)
_OF_SHARES = replace(_TUNING, pace=replace(_TUNING.pace, first=1.25))
"""Counts follow the day, of which a new series knows nothing; shares hardly do, and are believed
sooner. It matters for new series only: what is saved holds the size as it is."""
_SHARED = 10
"""Posts that a share is taken of. Minutes with fewer are put together until there are as many: the
scale of the shares is biased where there are few, and a quiet night would look like news."""


class Counts(msgspec.Struct):
    """What was counted and not judged yet."""

    closed: int = 0
    """Minutes before this one (epoch seconds) are closed; 0 before the first rollup."""
    minutes: dict[int, Cell] = {}
    sources: dict[int, int] = {}
    """The last offset counted, by partition of `sentiment`."""
    posts: int = 0
    """All posts ever counted: in minutes, late, outside and without an emotion."""
    late: int = 0
    """Posts that came after their minute was closed."""
    missed: dict[int, list[int]] = {}
    """Those of the last day by minute: posts by series, as in `Cell.parts`."""
    outside: int = 0
    """Posts dated in the future or too long ago."""

    def add(self, rollup: Rollup) -> bool:
        """Count a rollup; False where it is a repeat."""
        if rollup.last <= self.sources.get(rollup.partition, -1):
            return False
        self.sources[rollup.partition] = rollup.last
        for minute, cell in rollup.minutes.items():
            self.posts += cell.posts
            if minute < self.closed:
                self.late += cell.posts
                if minute >= self.closed - DAY:
                    self.missed[minute] = summed(self.missed.get(minute, []), cell.parts)
            else:
                self.minutes.setdefault(minute, Cell()).add(cell)
        self.posts += rollup.outside + rollup.silent
        self.outside += rollup.outside
        return True

    def close(self, bound: int) -> list[tuple[int, Cell]]:
        """The minutes before `bound` (epoch seconds) that were still open, in order.

        Those without posts are among them. Where more than a day passed at once, the silence
        before the last day is left out: nobody was there to see it.
        """
        first = min(self.minutes, default=bound)
        begin = self.closed or first
        if bound - begin > DAY:
            begin = max(begin, min(first, bound - DAY))
        closing = [(at, self.minutes.pop(at, Cell())) for at in range(begin, bound, MINUTE)]
        if closing:
            self.closed = bound
            for minute in [at for at in self.missed if at < bound - DAY]:
                del self.missed[minute]
        return closing

    def late_since(self, minute: int, place: int) -> int:
        """Late posts of a series (its place in `SERIES`) in the minutes from this one on."""
        return sum(parts[place] for at, parts in self.missed.items() if at >= minute)


class Watch(msgspec.Struct):
    """What is remembered of the minutes that were judged."""

    judged: int = 0
    """Minutes before this one (epoch seconds) were."""
    detector: bytes = b""
    pool: list[int] = msgspec.field(default_factory=lambda: [0] * len(SERIES))
    """Posts by series since the last share was taken."""
    beside: list[int] = []
    """What those stand for beside themselves, as in `Cell.beside`."""
    lives: dict[str, Life] = {}
    """By series; one that was never above what was expected may be left out."""


class TrackMonitor:
    """The state of one track."""

    def __init__(
        self, track: str, counts: Counts | None = None, watch: Watch | None = None
    ) -> None:
        self.track = track
        self.counts = counts or Counts()
        self._watch = watch or Watch()
        self._detector = (
            Detector.load(self._watch.detector, _TUNING)
            if self._watch.detector
            else _new_detector()
        )
        self._lives = {name: self._watch.lives.get(name) or Life() for name in SERIES}

    def close(self, bound: int, rules: Rules) -> list[Alert]:
        """Close and judge the minutes before `bound` (epoch seconds); what became of alerts."""
        changes: list[Alert] = []
        for minute, cell in self.counts.close(bound):
            if minute >= self._watch.judged:
                self._watch.judged = minute + MINUTE
                changes += self._judge(minute, cell, rules)
        return changes

    def command(self, given: AlertCommand) -> Alert | None:
        """What a person does about an alert; its next state, None where nothing changes."""
        found = (command(life, given) for life in self._lives.values())
        return next((alert for alert in found if alert is not None), None)

    def adopt(self, alert: Alert) -> None:
        """Take over the state of an alert as it was published, without the posts that it names:
        `alerts` alone holds them, so that one of them can be erased.
        """
        evidence = msgspec.structs.replace(alert.evidence, exemplars=())
        self._lives[alert.series].alert = msgspec.structs.replace(alert, evidence=evidence)

    @property
    def open(self) -> list[Alert]:
        """The alerts that are not cleared."""
        return [life.alert for life in self._lives.values() if life.open and life.alert]

    def watch(self) -> Watch:
        """The state to keep beside `counts`."""
        return msgspec.structs.replace(
            self._watch, detector=self._detector.save(), lives=self._lives
        )

    def _judge(self, minute: int, cell: Cell, rules: Rules) -> list[Alert]:
        hours = np.full(len(SERIES), (minute // HOUR + _THURSDAY) % 168, dtype=np.int64)
        pool = summed(self._watch.pool, cell.parts)
        beside = summed(self._watch.beside, cell.beside)
        enough = pool[0] >= _SHARED
        # Weighted shares, which are of no more posts than were scored.
        whole = np.array(stands_for(pool, beside))
        parts = whole * (pool[0] / whole[0] if pool[0] else 0.0)
        totals = np.full(len(SERIES), float(pool[0]) if enough else 0.0)
        weights = np.ones(len(SERIES))
        if cell.posts:
            weights[0] = stands_for(cell.parts, cell.beside)[0] / cell.posts
        parts[0], totals[0] = cell.posts, np.nan
        judged = judge(self._detector, hours, parts, totals, weights)
        self._watch.pool = [0] * len(SERIES) if enough else pool
        self._watch.beside = [] if enough else beside
        changes = []
        for place, name in enumerate(SERIES):
            reading = self._reading(name, place, minute, judged, cell.parts)
            life = self._lives[name]
            alert = step(life, reading, cell, rules.of(self.track, name))
            if alert is not None:
                late = self.counts.late_since(int(alert.onset.timestamp()), place)
                life.alert = msgspec.structs.replace(alert, late_posts=late)
                changes.append(life.alert)
        return changes

    def _reading(
        self, name: str, place: int, minute: int, judged: Judgement, parts: Sequence[int]
    ) -> Reading:
        return Reading(
            track=self.track,
            series=name,
            minute=minute,
            observed=_rounded(judged.observed[place]),
            expected=_rounded(judged.expected[place]),
            low=_rounded(judged.low[place]),
            high=_rounded(judged.high[place]),
            unit="share" if place else "posts",
            deviation=_rounded(judged.deviation[place]),
            anomaly=bool(judged.anomaly[place]),
            posts=parts[place],
        )


def _new_detector() -> Detector:
    """One that has seen nothing: a count, and shares of it."""
    detector = Detector(1, _TUNING)
    detector.append(Detector(len(SERIES) - 1, _OF_SHARES))
    return detector


def _rounded(value: float) -> float:
    return round(float(value), 4)
