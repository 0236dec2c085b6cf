"""Published detectors to compare with, written for many series at once.

Each takes values and hours of the week, `(ticks, series)`, NaN beyond the end of a series, and
answers a score of any scale for each, of which one threshold for all series is then sought.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from pipeline.spikes.detector import root
from pipeline.spikes.peaks import Peaks
from pipeline.spikes.profile import Profile

Floats = npt.NDArray[np.float64]
Hours = npt.NDArray[np.int64]
Method = Callable[[Floats, Hours], Floats]

_SMALL = 1e-9


def seasonal_z(values: Floats, hours: Hours) -> Floats:
    """Deviation from the hour of the week's mean over its mean absolute error, on roots."""
    profile, part = Profile(values.shape[1]), slice(0, values.shape[1])
    scores = np.zeros_like(values)
    for tick, row in enumerate(root(values)):
        forecast = profile.step(part, hours[tick], row)
        scores[tick] = np.abs(row - forecast.expected) / np.maximum(forecast.spread, _SMALL)
    return scores


def extreme_values(values: Floats, hours: Hours) -> Floats:
    """Minus the logarithm of the tail probability of the seasonal z-score.

    Peaks over the 98% quantile with an exponential tail (SPOT, Siffer et al., KDD 2017; its shape
    parameter taken as 0).
    """
    statistic, level = np.nan_to_num(seasonal_z(values, hours)), 0.98
    count = values.shape[1]
    bound, excess, peaks = np.ones(count), np.ones(count), np.zeros(count)
    scores = np.zeros_like(values)
    for tick, row in enumerate(statistic):
        over = row > bound
        beyond = np.maximum(row - bound, 0.0)
        scores[tick] = np.where(over, beyond / np.maximum(excess, _SMALL), 0.0)
        rate = 1.0 / np.minimum(peaks + 1.0, 80.0)
        excess += np.where(over, rate * (np.minimum(beyond, 5.0 * excess) - excess), 0.0)
        peaks += over
        step = np.maximum(1.0 / (tick + 1.0), 0.002) * 2.0
        bound = np.maximum(bound + step * np.where(over, level, level - 1.0), _SMALL)
    return scores


def change_points(values: Floats, hours: Hours) -> Floats:
    """Surprise under Bayesian online change-point detection (Adams and MacKay, 2007).

    Normal values of unknown mean and variance; run lengths up to 150; hazard 1 / 250. The score
    is minus the logarithm of the predictive density, in standard units of the series so far.
    """
    longest, hazard = 150, 1 / 250
    rows = root(values)
    shape = (longest, values.shape[1])
    chance = np.zeros(shape)
    chance[0] = 1.0
    mean, square = np.zeros(shape), np.ones(shape)
    weight = np.arange(1, longest + 1, dtype=np.float64)[:, None]
    scale, level = np.full(values.shape[1], _SMALL), np.nan_to_num(rows[0])
    scores = np.zeros_like(values)
    for tick, row in enumerate(rows):
        off = np.where(np.isnan(row), 0.0, row - level)
        rate = max(1 / 2000, 1 / (tick + 1))
        level += rate * off
        scale += rate * (np.abs(off) - scale)
        value = off / np.maximum(scale, _SMALL)
        spread = square / weight * (weight + 1.0) / weight
        density = (1.0 + (value - mean) ** 2 / (spread * weight)) ** (-0.5 * (weight + 1.0))
        joint = chance * density / np.sqrt(spread)
        total = np.maximum(joint.sum(axis=0), 1e-300)
        scores[tick] = -np.log(total)
        grown = joint / total * (1.0 - hazard)
        grown[-2] += grown[-1]
        chance = np.vstack([np.full((1, shape[1]), hazard), grown[:-1]])
        square = np.vstack([np.ones((1, shape[1])), _learn(square, value - mean, weight)[:-1]])
        mean = np.vstack([np.zeros((1, shape[1])), (mean + (value - mean) / (weight + 1.0))[:-1]])
    return scores


def _learn(square: Floats, error: Floats, weight: Floats) -> Floats:
    learnt: Floats = square + error**2 * weight / (weight + 1.0)
    return learnt


def resonance(values: Floats, hours: Hours) -> Floats:
    """Size of a new category in fuzzy adaptive resonance over windows of 8 values.

    Boxes over the window, their sides as shares of the range; a window that no box takes without
    growing beyond the vigilance makes a new one in the place of that least recently used
    (Carpenter, Grossberg and Rosen 1991; as a detector: Hampton et al., ARTime, 2022).
    """
    length, boxes, vigilance = 8, 16, 0.1
    rows = np.nan_to_num(root(values))
    count = values.shape[1]
    low, high = np.full((2, boxes, length, count), 1e30)
    used = np.zeros((boxes, count))
    bottom, top, series = rows[0].copy(), rows[0].copy(), np.arange(count)
    scores = np.zeros_like(values)
    for tick in range(length, len(rows)):
        window = rows[tick - length + 1 : tick + 1]
        bottom, top = np.minimum(bottom, window[-1]), np.maximum(top, window[-1])
        grown_low, grown_high = np.minimum(low, window), np.maximum(high, window)
        size = (grown_high - grown_low).mean(axis=1) / np.maximum(top - bottom, _SMALL)
        best = size.argmin(axis=0)
        smallest = size[best, series]
        new = smallest > vigilance
        scores[tick] = np.where(new, np.minimum(smallest, 1.0), 0.0)
        place = np.where(new, used.argmin(axis=0), best)
        low[place, :, series] = np.where(new, window, grown_low[best, :, series].T).T
        high[place, :, series] = np.where(new, window, grown_high[best, :, series].T).T
        used[place, series] = tick
    return scores


def count_surprise(values: Floats, hours: Hours) -> Floats:
    """Poisson surprise of a value among its hour of the week (Legendy and Salcman, 1985).

    Minus the logarithm of the tail probability by Chernoff's bound, over the variance in units of
    the mean, so that it has no unit and serves measures that are no counts (quasi-likelihood,
    McCullagh and Nelder, 1989).
    """
    profile, part = Profile(values.shape[1]), slice(0, values.shape[1])
    factor, scores = np.ones(values.shape[1]), np.zeros_like(values)
    level = np.maximum(np.nan_to_num(values[0]), _SMALL)
    for tick, row in enumerate(np.maximum(values, 0.0)):
        weight = max(1 / 2000, 1 / (tick + 10))
        rate = np.maximum(profile.step(part, hours[tick], row).expected, 0.05 * level)
        value = np.where(np.isnan(row), rate, row)
        scores[tick] = _chernoff(value, rate) / factor
        spread = np.minimum((value - rate) ** 2 / rate, 36.0 * factor)
        factor = np.maximum(factor + weight * (spread - factor), _SMALL)
        level = np.maximum(level + weight * (value - level), _SMALL)
    return scores


def _chernoff(value: Floats, rate: Floats) -> Floats:
    """The exponent of the chance of a Poisson count as far from its rate as `value`."""
    exponent: Floats = value * np.log(np.maximum(value, _SMALL) / rate) - value + rate
    return exponent


def share_surprise(totals: Floats, shares: Floats, hours: Hours) -> Floats:
    """Beta-binomial surprise of a share of `totals` among its hour of the week.

    The exponent of its chance by Chernoff's bound, over the variance in units of the binomial's,
    1 + (n - 1) r, with r, by which shares of many posts still vary, from moments (Griffiths, 1973).
    """
    profile, part = Profile(shares.shape[1]), slice(0, shares.shape[1])
    extra, scores = np.zeros(shares.shape[1]), np.zeros_like(shares)
    for tick, (row, total) in enumerate(zip(shares, totals, strict=True)):
        chance = np.clip(profile.step(part, hours[tick], row).expected, _SMALL, 1.0 - 1e-6)
        value = np.where(np.isnan(row), chance, row)
        exponent = _chernoff(value, chance) + _chernoff(1.0 - value, 1.0 - chance)
        scores[tick] = total * exponent / (1.0 + np.maximum(total - 1.0, 0.0) * extra)
        weight = max(1 / 2000, 1 / (tick + 1))
        size = (value - chance) ** 2 / (chance * (1.0 - chance)) - 1.0 / np.maximum(total, 1.0)
        extra += weight * (np.minimum(size, 36.0 * np.maximum(extra, 1e-3)) - extra)
        extra = np.maximum(extra, 0.0)
    return scores


def hybrid_esd(values: Floats, hours: Hours) -> Floats:
    """Seasonal hybrid ESD: what the season leaves, from its median, in median absolute deviations.

    Over the last week of five minutes (Vallis, Hochenbaum and Kejariwal, HotCloud 2014). The
    season is the profile by hour of the week in place of their decomposition, which looks ahead;
    median and deviation are taken anew every 24 ticks.
    """
    span, every = 2016, 24
    count = values.shape[1]
    profile, part = Profile(count), slice(0, count)
    left, scores = np.zeros((span, count)), np.zeros_like(values)
    middle, scale = np.zeros(count), np.full(count, np.inf)
    for tick, row in enumerate(values):
        rest = np.nan_to_num(row - profile.step(part, hours[tick], row).expected)
        scores[tick] = np.abs(rest - middle) / scale
        left[tick % span] = rest
        if tick % every == every - 1:
            known = left[: tick + 1]
            middle = np.median(known, axis=0)
            scale = np.maximum(np.median(np.abs(known - middle), axis=0), _SMALL)
    return scores


def once(method: Method, hold: int = 300) -> Method:
    """The method with our rule that a score counts where it tops the fading last peak."""

    def held(values: Floats, hours: Hours) -> Floats:
        peaks, part = Peaks(values.shape[1], hold), slice(0, values.shape[1])
        scores = np.where(np.isnan(values), 0.0, np.nan_to_num(method(values, hours)))
        scores[:100] = 0.0
        return np.array([peaks.rise(part, row) for row in scores])

    return held


METHODS: dict[str, Method] = {
    "seasonal z-score": once(seasonal_z),
    "extreme values (SPOT)": once(extreme_values),
    "Bayesian change points": once(change_points),
    "adaptive resonance": once(resonance),
    "Poisson surprise": once(count_surprise),
    "seasonal hybrid ESD": once(hybrid_esd),
}
