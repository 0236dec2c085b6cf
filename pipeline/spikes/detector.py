"""An online detector of spikes in many series at once.

Each tick gives one value a series, and each series answers how new that value is:

1. The value is brought to a scale on which its noise does not depend on its size: the root.
2. A seasonal profile says what was expected at this hour of the week, and how much it helps.
3. Two memories say how far the value, and what the profile missed, lie from everything seen, as
   shares of their ranges. Their sum, the second weighted by the profile's skill, is the novelty.
   Half the unit of the measure is no distance, nor is the noise of a value where it is known.
4. Where the noise is known, as it is for counts and shares, the surprise counts as well: values
   far above what was expected, though their like was seen before. It is a moving mean of the
   deviations in standard deviations, so that a spike of a few ticks is found though no tick of
   it stands out (Roberts, Technometrics 1959).
5. The score of a series rises above its last peak, which fades: once a spike.

Row n uses rows up to n only. The state of a series is a fixed number of bytes, which can be saved
and loaded, and series can come and go.

A tick without a value (NaN) teaches nothing and has no score; only the last peaks fade on. A tick
that nobody judges changes nothing at all: the seasons go by the hour of the week that comes with
each value, so after a gap the detector goes on where the clock is. No posts in a bucket are a count
of 0, not a missing value, and no share.

Cold start: no score in the first `Tuning.warm_up` ticks of a series. The level answers for the
first day, the day's profile for the first week, the week's profile from then on; what a series does
for the first time in its life is new, so expect an alert or two from its first days.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from pipeline.spikes.memory import Memory, Place
from pipeline.spikes.profile import BUCKET, WEEK, Profile, Rhythm
from pipeline.spikes.state import Rows, State

Floats = npt.NDArray[np.float64]
Slots = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

THRESHOLD = 0.5
"""A score from here on is an anomaly."""
_BLOCK = 2048
"""Series handled at once: their state stays in the processor's cache."""
_DEVIATIONS = 1.2533
"""Standard deviations in a mean absolute error, of a normal distribution."""
_LARGEST = 1e70
"""Values beyond it are taken as it, so that single precision holds their roots."""
_OUTLIER = 6.0
"""Deviations beyond this multiple of the noise widen the spread no further."""
_TINY = 1e-300
_HEADER = struct.Struct("<4sBI")
_MAGIC, _VERSION = b"wvsp", 1
"""The version counts up when an array of the state is added, changed or moved."""


@dataclass(frozen=True)
class Tuning:
    """What the detector is set to, for buckets of five minutes; one setting serves all series."""

    novelty: float = 0.01
    """The novelty that is an anomaly, as a share of the range."""
    between: float = 0.75
    """The weight of a gap between values that were seen, against one beyond them all."""
    surprise: float = 4.5
    """The surprise that is an anomaly, in standard deviations of it."""
    weight: float = 0.4
    """The weight of the newest deviation in the surprise."""
    forget: float = 1 / 12_000
    """The share of its range that a series forgets at each end a tick."""
    hold: int = 300
    """Ticks over which the last peak of the novelty fades."""
    surprise_hold: int = 36
    """Ticks over which the last peak of the surprise fades."""
    spread: int = 2000
    """The time constant of the excess of the deviations over chance, in ticks."""
    warm_up: int = 100
    """Ticks of a series without a score."""
    rhythm: Rhythm = field(default_factory=Rhythm)
    """How fast the profile follows."""

    def per(self, bucket: float) -> Tuning:
        """The same times for buckets of `bucket` seconds, but for the warm-up, which is in values.

        The surprise then weighs as many minutes, so a long weak spike is found as well in short
        buckets, and a strong one sooner.

        Raises:
            ValueError: unless `bucket` is more than 0 and at most an hour.
        """
        if not 0 < bucket <= 3600:
            raise ValueError(f"a bucket lasts more than 0 and at most 3600 seconds, not {bucket}")
        times = BUCKET / bucket
        return replace(
            self,
            weight=1.0 - (1.0 - self.weight) ** (1.0 / times),
            forget=self.forget / times,
            hold=max(1, round(self.hold * times)),
            surprise_hold=max(1, round(self.surprise_hold * times)),
            spread=max(1, round(self.spread * times)),
            rhythm=self.rhythm.per(bucket),
        )


@dataclass(frozen=True)
class Signals:
    """The answers of one tick; arrays `(series,)`."""

    score: Floats
    """0-1; THRESHOLD and above is an anomaly. 0 without a value."""
    anomaly: Flags
    expected: Floats
    """What was expected of the value, on the root's scale."""
    deviation: Floats
    """Value minus expected, on the root's scale."""
    spread: Floats
    """The standard deviation of that, of the past or of the noise, whichever is larger."""


class Detector(State):
    """The state of `count` series, in the order in which they were added."""

    def __init__(self, count: int, tuning: Tuning | None = None) -> None:
        self._tuning = tuning or Tuning()
        self._values = Memory(count, self._tuning.forget)
        self._misses = Memory(count, self._tuning.forget)
        self._profile = Profile(count, self._tuning.rhythm)
        self._last = np.full(count, np.nan)
        self._unit = np.full(count, np.inf)
        self._excess = np.ones(count)
        self._drift = np.zeros(count)
        self._novel = Peaks(count, self._tuning.hold)
        self._surprising = Peaks(count, self._tuning.surprise_hold)
        self._ticks = np.zeros(count, dtype=np.int32)

    def __len__(self) -> int:
        """The number of series."""
        return len(self._ticks)

    @property
    def ticks(self) -> npt.NDArray[np.int32]:
        """Values that each series has seen, `(series,)`."""
        return self._ticks.copy()

    def add(self, count: int) -> range:
        """Add new series behind the others and give their places.

        Everything is copied, so add many at once rather than many times one.
        """
        places = range(len(self), len(self) + count)
        self.append(Detector(count, self._tuning))
        return places

    def remove(self, rows: npt.NDArray[np.int64]) -> None:
        """Remove the series at these places; those behind them move up, in their order."""
        stays = np.ones(len(self), dtype=np.bool_)
        stays[rows] = False
        self.keep(stays)

    def save(self, rows: Rows | None = None) -> bytes:
        """The state of all series, or of those at `rows`, for `load`; about 1.4 KB a series."""
        rows = np.arange(len(self))[slice(None) if rows is None else rows]
        return _HEADER.pack(_MAGIC, _VERSION, len(rows)) + self.pack(rows)

    @classmethod
    def load(cls, data: bytes, tuning: Tuning | None = None) -> Detector:
        """The detector that was saved; `tuning` may be another than then.

        `detector.append(Detector.load(data))` puts saved series behind those of a running one.

        Raises:
            ValueError: for bytes that are no saved state, of another version or incomplete.
        """
        if len(data) < _HEADER.size or data[: len(_MAGIC)] != _MAGIC:
            raise ValueError("this is no saved state of a detector")
        _, version, count = _HEADER.unpack_from(data)
        if version != _VERSION:
            raise ValueError(f"the saved state has version {version}, expected {_VERSION}")
        detector = cls(count, tuning)
        detector.unpack(memoryview(data)[_HEADER.size :])
        return detector

    def step(self, hours: Slots, values: Floats, noise: Floats | None = None) -> Signals:
        """Judge and learn one value a series, `(series,)`; NaN is no value.

        Args:
            hours: the hour of the week of each value, 0 = Monday 00:00, 167 = Sunday 23:00.
            values: counts, shares or any measure, on their own scale unless `noise` is given.
            noise: the standard deviation of each value from chance alone; the values are then on
                a scale of equal noise already (pipeline.spikes.measures).

        Raises:
            ValueError: for arrays of another length, or hours outside the week.
        """
        count = len(self)
        if not len(hours) == len(values) == count:
            raise ValueError(f"expected {count} hours and values")
        if len(hours) and not 0 <= hours.min() <= hours.max() < WEEK:
            raise ValueError(f"hours of the week go from 0 to {WEEK - 1}")
        starts = range(0, max(count, 1), _BLOCK)
        parts = [slice(start, min(start + _BLOCK, count)) for start in starts]
        tiles = [
            self._step(part, hours[part], values[part], None if noise is None else noise[part])
            for part in parts
        ]
        columns = zip(*tiles, strict=True)
        return Signals(*(np.concatenate(column) for column in columns))

    def _step(
        self, part: slice, hours: Slots, values: Floats, noise: Floats | None
    ) -> tuple[npt.NDArray[np.generic], ...]:
        here = ~np.isnan(values)
        values = np.clip(values, -_LARGEST, _LARGEST)
        if noise is None:
            level, chance = root(values), self._half_unit(part, values, here)
        else:
            level, chance = values, noise
        forecast = self._profile.step(part, hours, level)
        deviation = level - forecast.expected
        novelty = self._share(self._values.step(part, level), chance)
        novelty += forecast.skill * self._share(self._misses.step(part, deviation), chance)
        spread = _DEVIATIONS * forecast.spread
        self._ticks[part] += here
        scored = here & (self._ticks[part] > self._tuning.warm_up)
        ratio = np.where(scored, novelty / self._tuning.novelty, 0.0)
        ratio = self._novel.rise(part, ratio)
        if noise is not None:
            spread = self._widen(part, deviation, noise, here)
            surprise = self._surprise(part, deviation / np.maximum(spread, _TINY), here)
            surprise = np.where(scored, surprise / self._tuning.surprise, 0.0)
            ratio = np.maximum(ratio, self._surprising.rise(part, surprise))
        score = ratio / (1.0 + ratio)
        return score, score >= THRESHOLD, forecast.expected, deviation, spread

    def _half_unit(self, part: slice, values: Floats, here: Flags) -> Floats:
        """Half the unit in which a series is measured, on the root's scale at each value.

        The unit is the smallest step so far: a count of 5 beside one of 4 leaves no gap.
        """
        step = np.abs(values - self._last[part])
        smaller = (step > 0) & (step < self._unit[part])
        self._unit[part] = np.where(smaller, step, self._unit[part])
        self._last[part] = np.where(here, values, self._last[part])
        unit = np.where(np.isinf(self._unit[part]), 0.0, self._unit[part])
        return 0.25 * unit / np.maximum(np.sqrt(np.maximum(np.abs(values), unit)), _TINY)

    def _share(self, place: Place, chance: Floats) -> Floats:
        """The gap beyond what chance makes, as a share of the range."""
        weight = np.where(place.between, self._tuning.between, 1.0)
        return weight * np.maximum(place.gap - chance, 0.0) / np.maximum(place.span, _TINY)

    def _widen(self, part: slice, deviation: Floats, noise: Floats, here: Flags) -> Floats:
        """The noise times the factor by which past deviations exceeded it, at least 1."""
        spread = noise * np.maximum(_DEVIATIONS * self._excess[part], 1.0)
        size = np.minimum(np.abs(deviation) / np.maximum(noise, _TINY), _OUTLIER)
        rate = np.maximum(1.0 / self._tuning.spread, 1.0 / (self._ticks[part] + 1.0))
        self._excess[part] += np.where(here, rate * (size - self._excess[part]), 0.0)
        return spread

    def _surprise(self, part: slice, deviations: Floats, here: Flags) -> Floats:
        """The moving mean of the deviations, in its own standard deviations."""
        weight = self._tuning.weight
        drift = self._drift[part]
        drift += np.where(here, weight * (deviations - drift), 0.0)
        surprise: Floats = np.maximum(drift, 0.0) / np.sqrt(weight / (2.0 - weight))
        return surprise


class Peaks(State):
    """The last peaks of `count` statistics, each fading to 0 over `hold` ticks."""

    def __init__(self, count: int, hold: int) -> None:
        self._hold = hold
        self._height = np.zeros(count)
        self._fade = np.zeros(count)

    def rise(self, part: slice, statistic: Floats) -> Floats:
        """The statistic where it tops the faded peak and becomes the new one, 0 elsewhere."""
        height = np.maximum(self._height[part] - self._fade[part], 0.0)
        rises = statistic > height
        self._height[part] = np.where(rises, statistic, height)
        self._fade[part] = np.where(rises, statistic / self._hold, self._fade[part])
        return np.where(rises, statistic, 0.0)


def root(values: Floats) -> Floats:
    """The root of the magnitude with the value's sign."""
    return np.sign(values) * np.sqrt(np.abs(values))
