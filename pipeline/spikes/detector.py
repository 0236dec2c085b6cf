"""An online detector of spikes in many series at once.

Each tick gives one value a series, and each series answers how new that value is:

1. The value is brought to a scale on which its noise does not depend on its size: the root.
2. A seasonal profile says what was expected at this hour of the week, and how much it helps.
3. Two memories say how far the value, and what the profile missed, lie from everything seen, as
   shares of their ranges. Their sum, the second weighted by the profile's skill, is the novelty.
   Half the unit of the measure is no distance, nor is the noise of a value where it is known.
4. Where the noise is known, as it is for counts and shares, the surprise counts as well: values
   far above what was expected, though their like was seen before (pipeline.spikes.surprise).
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
from pipeline.spikes.peaks import Peaks
from pipeline.spikes.profile import BUCKET, WEEK, Profile, Rhythm
from pipeline.spikes.state import Rows, State
from pipeline.spikes.surprise import DEVIATIONS, Pace, Surprise

Floats = npt.NDArray[np.float64]
Slots = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

THRESHOLD = 0.5
"""A score from here on is an anomaly."""
_BLOCK = 2048
"""Series handled at once: their state stays in the processor's cache."""
_LARGEST = 1e70
"""Values beyond it are taken as it, so that single precision holds their roots."""
_TINY = 1e-300
_HEADER = struct.Struct("<4sBI")
_MAGIC, _VERSION = b"wvsp", 1
"""The version counts up when an array of the state is added, changed or moved."""


@dataclass(frozen=True)
class Tuning:
    """What the detector is set to, for buckets of five minutes; one setting serves all series."""

    novelty: float = 0.0125
    """The novelty that is an anomaly, as a share of the range."""
    few: int = 250
    """After this many values twice as much is: where few were seen, most are new."""
    forget: float = 1 / 12_000
    """The share of its range that a series forgets at each end a tick."""
    hold: int = 360
    """Ticks over which the last peak of the novelty fades."""
    times: float = 5.0
    """Within them, only a peak this many times as high is another one."""
    warm_up: int = 100
    """Ticks of a series without a score."""
    rhythm: Rhythm = field(default_factory=Rhythm)
    """How fast the profile follows."""
    pace: Pace = field(default_factory=Pace)
    """How the surprise moves."""

    def per(self, bucket: float) -> Tuning:
        """The same times for buckets of `bucket` seconds, but for the warm-up, which is in values.

        Raises:
            ValueError: unless `bucket` is more than 0 and at most an hour.
        """
        if not 0 < bucket <= 3600:
            raise ValueError(f"a bucket lasts more than 0 and at most 3600 seconds, not {bucket}")
        times = BUCKET / bucket
        return replace(
            self,
            forget=self.forget / times,
            hold=max(1, round(self.hold * times)),
            rhythm=self.rhythm.per(bucket),
            pace=self.pace.per(bucket),
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
        self._novel = Peaks(count, self._tuning.hold, self._tuning.times, least=1.0)
        self._surprise = Surprise(count, self._tuning.pace)
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
        novelty = _share(self._values.step(part, level), chance)
        novelty += forecast.skill * _share(self._misses.step(part, deviation), chance)
        expected, spread = forecast.expected, DEVIATIONS * forecast.spread
        self._ticks[part] += here
        scored = here & (self._ticks[part] > self._tuning.warm_up)
        enough = self._tuning.novelty * (1.0 + self._tuning.few / np.maximum(self._ticks[part], 1))
        ratio = np.where(scored, novelty / enough, 0.0)
        ratio = self._novel.rise(part, ratio)
        if noise is not None:
            age = self._ticks[part].astype(np.float64)
            surprised = self._surprise.step(part, deviation, noise, age, scored)
            ratio = np.maximum(ratio, surprised.ratio)
            expected, spread = expected + surprised.missed, surprised.spread
        score = ratio / (1.0 + ratio)
        return score, score >= THRESHOLD, expected, level - expected, spread

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


def _share(place: Place, chance: Floats) -> Floats:
    """The gap beyond what chance makes, as a share of the range."""
    share: Floats = np.maximum(place.gap - chance, 0.0) / np.maximum(place.span, _TINY)
    return share


def root(values: Floats) -> Floats:
    """The root of the magnitude with the value's sign."""
    return np.sign(values) * np.sqrt(np.abs(values))
