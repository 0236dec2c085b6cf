"""Once a peak: a statistic counts where it tops the last peak, which fades."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pipeline.spikes.state import State

Floats = npt.NDArray[np.float64]


class Peaks(State):
    """The last peaks of `count` statistics, each fading to 0 over `hold` ticks."""

    def __init__(self, count: int, hold: int, times: float = 1.0, least: float = 0.0) -> None:
        """A statistic counts above `times` the last peak; only one of `least` or more is a peak."""
        self._hold, self._times, self._least = hold, times, least
        self._height = np.zeros(count)
        self._fade = np.zeros(count)

    def rise(self, part: slice, statistic: Floats) -> Floats:
        """The statistic where it tops the faded peak, 0 elsewhere."""
        height = np.maximum(self._height[part] - self._fade[part], 0.0)
        rises = statistic > self._times * height
        peaks = rises & (statistic >= self._least)
        self._height[part] = np.where(peaks, statistic, height)
        self._fade[part] = np.where(peaks, statistic / self._hold, self._fade[part])
        return np.where(rises, statistic, 0.0)
