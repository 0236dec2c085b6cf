"""How far values lie above what was expected, where their noise is known.

The noise of counts and shares is known from their totals, but they vary more than that: rates
wander, bots post on the hour, and a profile is never right. So every scale here is the one that
chance alone gives times the factor by which the past exceeded it:

1. What the profile missed lately is expected to go on, so that a level that shifted, or a day
   unlike the others, surprises once and not for days.
2. The deviation from that, in spreads: the noise, widened by the mean size of past deviations.
3. Its moving mean finds a spike of a few ticks though no tick of it stands out (Roberts,
   Technometrics 1959). A mean of deviations that hang together varies more than one of independent
   ones, so it is measured against its own past size. That starts large: a series must show that it
   is steady before it can surprise.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from pipeline.spikes.peaks import Peaks
from pipeline.spikes.profile import BUCKET
from pipeline.spikes.state import State

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

DEVIATIONS = 1.2533
"""Standard deviations in a mean absolute error, of a normal distribution."""
_OUTLIER = 6.0
"""Deviations beyond this multiple of the noise widen the spread no further."""
_CLIP = 4.0
"""The same for the moving mean, in its own mean sizes."""
_TINY = 1e-300


@dataclass(frozen=True)
class Pace:
    """How the surprise moves, for buckets of five minutes."""

    threshold: float = 4.5
    """The surprise that is an anomaly, in standard deviations of it."""
    weight: float = 0.4
    """The weight of the newest deviation in the moving mean."""
    follow: int = 24
    """The time constant of what the profile missed lately, in ticks."""
    spread: int = 2000
    """That of the sizes of the deviations and of their moving mean."""
    first: float = 3.0
    """The size that the moving mean of a new series is thought to have, in chance's deviations."""
    doubt: int = 96
    """Ticks after which this first size weighs a half."""
    hold: int = 36
    """Ticks over which the last peak fades."""
    times: float = 3.0
    """Within them, only a peak this many times as high is another one."""

    def per(self, bucket: float) -> Pace:
        """The same times for buckets of `bucket` seconds.

        The moving mean then weighs as many minutes, so a long weak spike is found as well in short
        buckets, and a strong one sooner.
        """
        times = BUCKET / bucket
        return replace(
            self,
            weight=1.0 - (1.0 - self.weight) ** (1.0 / times),
            follow=max(1, round(self.follow * times)),
            spread=max(1, round(self.spread * times)),
            doubt=max(1, round(self.doubt * times)),
            hold=max(1, round(self.hold * times)),
        )


@dataclass(frozen=True)
class Surprised:
    """The answer of one tick; arrays `(series,)`."""

    ratio: Floats
    """The surprise over its threshold; 0 where it repeats an earlier peak."""
    missed: Floats
    """What the profile missed lately, to be added to what it expects."""
    spread: Floats
    """The standard deviation around that."""


class Surprise(State):
    """The surprise of `count` series."""

    def __init__(self, count: int, pace: Pace) -> None:
        self._pace = pace
        self._missed = np.zeros(count)
        self._excess = np.ones(count)
        self._mean = np.zeros(count)
        self._size = np.full(count, pace.first)
        self._peaks = Peaks(count, pace.hold, pace.times, least=1.0)

    def step(
        self, part: slice, deviation: Floats, noise: Floats, age: Floats, scored: Flags
    ) -> Surprised:
        """Judge and learn one deviation from the profile a series in `part`; NaN is none.

        `age` counts the values of the series with this one, `scored` says which may have a ratio.
        """
        pace, here = self._pace, ~np.isnan(deviation)
        noise, missed = np.maximum(noise, _TINY), self._missed[part].copy()
        spread = noise * np.maximum(DEVIATIONS * self._excess[part], 1.0)
        deviation = np.where(here, deviation - missed, 0.0)
        rate = np.where(here, np.maximum(1.0 / pace.spread, 1.0 / (age + 1.0)), 0.0)
        self._excess[part] += rate * (
            np.minimum(np.abs(deviation) / noise, _OUTLIER) - self._excess[part]
        )
        self._missed[part] += np.maximum(1.0 / pace.follow, 1.0 / (age + 1.0)) * deviation
        mean = self._mean[part]
        mean += np.where(here, pace.weight * (deviation / spread - mean), 0.0)
        surprise = self._measure(part, mean, age, here)
        ratio = np.where(scored, surprise / pace.threshold, 0.0)
        return Surprised(self._peaks.rise(part, ratio), missed, spread)

    def _measure(self, part: slice, mean: Floats, age: Floats, here: Flags) -> Floats:
        """The moving mean in its standard deviations: those of chance, or of its past if larger."""
        pace, size = self._pace, self._size[part]
        standard = mean / np.sqrt(pace.weight / (2.0 - pace.weight))
        surprise: Floats = np.maximum(standard, 0.0) / np.maximum(DEVIATIONS * size, 1.0)
        most = _CLIP * np.maximum(size, 1.0 / DEVIATIONS)
        rate = np.where(here, np.maximum(1.0 / pace.spread, 1.0 / (age + pace.doubt)), 0.0)
        size += rate * (np.minimum(np.abs(standard), most) - size)
        return surprise
