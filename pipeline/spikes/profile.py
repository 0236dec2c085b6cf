"""What a series is expected to be at this hour of the week, and how much that expectation helps.

Two profiles a series, by hour of day and by hour of week, each a running mean a cell whose rate
falls from 1 to a floor, so that they start fast and then follow slow change. The hour of the week
answers once it was visited, the hour of the day before that, the running level before both.

A running mean of what the profile missed is added to it, so that a shift of the level is followed
within a day and not relearned hour by hour for a week.

The skill says how far the profile beats the level: 1 - (its mean absolute error) / (that of the
level), in 0-1. A series without seasons has skill near 0, and its profile is then ignored.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from pipeline.spikes.state import State

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Slots = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

DAY, WEEK = 24, 168
BUCKET = 300.0
"""Seconds of a bucket that the defaults are made for."""
MOST = 255
"""Visits of a cell are counted up to here."""
_TINY = 1e-12


@dataclass(frozen=True)
class Forecast:
    """What was expected of each series before its value came; arrays `(series,)`."""

    expected: Floats
    """The value at this hour of the week; NaN before the first value."""
    skill: Floats
    """How far it beats the running level, 0-1."""
    spread: Floats
    """Mean absolute error of the better of profile and level."""


@dataclass(frozen=True)
class Rhythm:
    """How fast a profile follows."""

    day_rate: float = 0.2
    """The floor of the rate of a cell of the day."""
    week_rate: float = 0.4
    level: int = 144
    """The time constant of the running level, in ticks."""
    offset: int = 288
    """That of the mean of what the profile missed."""
    errors: int = 2000
    """That of the mean errors."""

    def per(self, bucket: float) -> Rhythm:
        """The same times for buckets of `bucket` seconds; the defaults are for five minutes."""
        times = BUCKET / bucket
        return replace(
            self,
            level=max(1, round(self.level * times)),
            offset=max(1, round(self.offset * times)),
            errors=max(1, round(self.errors * times)),
        )


class Profile(State):
    """The seasons of `count` series."""

    def __init__(self, count: int, rhythm: Rhythm | None = None) -> None:
        rhythm = rhythm or Rhythm()
        self._rates = (rhythm.day_rate, rhythm.week_rate)
        self._day, self._week = _unknown(DAY, count), _unknown(WEEK, count)
        self._day_visits, self._week_visits = _visits(DAY, count), _visits(WEEK, count)
        self._level_span, self._offset_span = rhythm.level, rhythm.offset
        self._error_span = rhythm.errors
        self._level = np.zeros(count, dtype=np.float32)
        self._offset = np.zeros(count, dtype=np.float32)
        self._misses = np.zeros((2, count), dtype=np.float32)
        self._ticks = np.zeros(count, dtype=np.int32)
        self._hour = np.zeros(count, dtype=np.int16)
        self._sum = np.zeros(count)
        self._count = np.zeros(count, dtype=np.int32)

    def step(self, part: slice, hours: Slots, values: Floats) -> Forecast:
        """Forecast, then learn, one value a series in `part`; NaN is no value.

        `hours` are hours of the week, `(series,)`, 0 = Monday 00:00.
        """
        here = ~np.isnan(values)
        columns = np.arange(part.start, part.stop)
        seasonal = self._season(part, hours, columns)
        first = self._ticks[part] == 0
        seasonal = np.where(first, values, seasonal)
        expected = seasonal + self._offset[part]
        before = np.where(first, values, self._level[part])
        of_profile, of_level = self._misses[:, part].astype(np.float64)
        skill = np.clip(1.0 - of_profile / np.maximum(of_level, _TINY), 0.0, 1.0)
        forecast = Forecast(expected, skill, np.minimum(of_profile, of_level))
        self._learn_hour(part, hours, values, here)
        age = (self._ticks[part] + 1).astype(np.float64)
        _follow(self._level[part], values - self._level[part], self._level_span, age, here)
        _follow(self._offset[part], values - expected, self._offset_span, age, here)
        for misses, missed in zip(self._misses, (expected, before), strict=True):
            error = np.abs(values - missed) - misses[part]
            _follow(misses[part], error, self._error_span, age, here)
        self._ticks[part] += here
        return forecast

    def _season(self, part: slice, hours: Slots, columns: Slots) -> Floats:
        day, week = self._day[hours % DAY, columns], self._week[hours, columns]
        known = np.where(np.isnan(week), day, week)
        level = self._level[part] - self._offset[part]
        return np.where(np.isnan(known), level, known).astype(np.float64)

    def _learn_hour(self, part: slice, hours: Slots, values: Floats, here: Flags) -> None:
        """Gather the hour's values, and learn their mean once the hour is over.

        A cell that learned from each value at once would follow it within the hour, and every
        slow series would seem to have seasons.
        """
        over = np.flatnonzero(here & (self._count[part] > 0) & (hours != self._hour[part]))
        if over.size:
            columns = over + part.start
            hour, mean = self._hour[columns], self._sum[columns] / self._count[columns]
            cells = (
                (self._day, self._day_visits, hour % DAY, self._rates[0]),
                (self._week, self._week_visits, hour, self._rates[1]),
            )
            for means, visits, slot, floor in cells:
                old, seen = means[slot, columns], visits[slot, columns]
                rate = np.maximum(floor, 1.0 / (seen + 1.0))
                means[slot, columns] = np.where(seen == 0, mean, old + rate * (mean - old))
                visits[slot, columns] = np.where(seen < MOST, seen + 1, seen)
            self._sum[columns], self._count[columns] = 0.0, 0
        self._hour[part] = np.where(here, hours, self._hour[part])
        self._sum[part] += np.where(here, values, 0.0)
        self._count[part] += here


def _follow(state: Singles, step: Floats, span: int, age: Floats, here: Flags) -> None:
    """Move a running mean in place by its share of `step`, where there is a value."""
    state += np.where(here, np.maximum(1.0 / span, 1.0 / age) * step, 0.0).astype(np.float32)


def _unknown(slots: int, count: int) -> npt.NDArray[np.float32]:
    return np.full((slots, count), np.nan, dtype=np.float32)


def _visits(slots: int, count: int) -> npt.NDArray[np.uint8]:
    return np.zeros((slots, count), dtype=np.uint8)
