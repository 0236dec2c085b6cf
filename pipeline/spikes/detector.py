"""An online detector of spikes in many series at once.

Each tick gives one value a series, and each series answers how new that value is:

1. The value is brought to a scale on which its noise does not depend on its size: the root.
2. A seasonal profile says what was expected at this hour of the week, and how much it helps.
3. Two memories say how far the value, and what the profile missed, lie from everything seen, as
   shares of their ranges. Their sum, the second weighted by the profile's skill, is the novelty.
4. Where the noise of a value is known, as it is for counts and shares, a novelty within the noise
   is none, and a value far above what was expected, in standard deviations, counts as well,
   though its like was seen before.
5. The score of a series rises above its last peak, which fades over `hold` ticks: once a spike.

Row n uses rows up to n only. The state of a series is a fixed number of bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.spikes.memory import Memory
from pipeline.spikes.profile import WEEK, Profile

Floats = npt.NDArray[np.float64]
Slots = npt.NDArray[np.int64]

THRESHOLD = 0.5
"""A score from here on is an anomaly."""
_BLOCK = 2048
"""Series handled at once: their state stays in the processor's cache."""
_DEVIATIONS = 1.2533
"""Standard deviations in a mean absolute error, of a normal distribution."""
_TINY = 1e-300


@dataclass(frozen=True)
class Tuning:
    """What the detector is set to; one setting serves all series."""

    novelty: float = 0.013
    """The novelty that is an anomaly, as a share of the range."""
    surprise: float = 4.0
    """The deviation above what was expected that is an anomaly, in standard deviations."""
    forget: float = 1 / 12_000
    """The share of its range that a series forgets at each end a tick."""
    hold: int = 300
    """Ticks over which the last peak fades."""
    warm_up: int = 100
    """Ticks of a series without a score."""


@dataclass(frozen=True)
class Signals:
    """The answers of one tick; arrays `(series,)`."""

    score: Floats
    """0-1; THRESHOLD and above is an anomaly. 0 without a value."""
    anomaly: npt.NDArray[np.bool_]
    expected: Floats
    """What was expected of the value, on the root's scale."""
    deviation: Floats
    """Value minus expected, on the root's scale."""
    spread: Floats
    """The standard deviation of that, of the past or of the noise, whichever is larger."""


class Detector:
    """The state of `count` series."""

    def __init__(self, count: int, tuning: Tuning | None = None) -> None:
        self._tuning = tuning or Tuning()
        self._count = count
        self._values = Memory(count, self._tuning.forget)
        self._misses = Memory(count, self._tuning.forget)
        self._profile = Profile(count)
        self._peak = np.zeros(count)
        self._fade = np.zeros(count)
        self._ticks = np.zeros(count, dtype=np.int32)

    @property
    def nbytes(self) -> int:
        """Bytes of the state of all series."""
        parts = (self._values, self._misses, self._profile, self._peak, self._fade, self._ticks)
        return sum(part.nbytes for part in parts)

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
        if not len(hours) == len(values) == self._count:
            raise ValueError(f"expected {self._count} hours and values")
        if len(hours) and not 0 <= hours.min() <= hours.max() < WEEK:
            raise ValueError(f"hours of the week go from 0 to {WEEK - 1}")
        starts = range(0, self._count, _BLOCK)
        parts = [slice(start, min(start + _BLOCK, self._count)) for start in starts]
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
        level = root(values) if noise is None else values
        forecast = self._profile.step(part, hours, level)
        deviation = level - forecast.expected
        chance = np.zeros(len(values)) if noise is None else noise
        novelty = _share(self._values.step(part, level), chance)
        novelty += forecast.skill * _share(self._misses.step(part, deviation), chance)
        spread = np.maximum(_DEVIATIONS * forecast.spread, chance)
        ratio = novelty / self._tuning.novelty
        if noise is not None:
            ratio = np.fmax(ratio, deviation / np.maximum(spread, _TINY) / self._tuning.surprise)
        self._ticks[part] += here
        ratio = np.where(here & (self._ticks[part] > self._tuning.warm_up), ratio, 0.0)
        score = self._rise(part, ratio)
        return score, score >= THRESHOLD, forecast.expected, deviation, spread

    def _rise(self, part: slice, ratio: Floats) -> Floats:
        """The score where the ratio tops the fading peak, 0 elsewhere."""
        peak = np.maximum(self._peak[part] - self._fade[part], 0.0)
        rises = ratio > peak
        self._peak[part] = np.where(rises, ratio, peak)
        self._fade[part] = np.where(rises, ratio / self._tuning.hold, self._fade[part])
        return np.where(rises, ratio / (1.0 + ratio), 0.0)


def root(values: Floats) -> Floats:
    """The root of the magnitude with the value's sign."""
    return np.sign(values) * np.sqrt(np.abs(values))


def _share(found: tuple[Floats, Floats], chance: Floats) -> Floats:
    """A gap beyond what chance makes, as a share of the range."""
    gap, span = found
    return np.maximum(gap - chance, 0.0) / np.maximum(span, _TINY)
