"""What is said about each series each tick: seen, expected, how odd, whether an anomaly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.spikes.detector import Detector
from pipeline.spikes.measures import of_counts, of_shares, to_counts, to_shares

Floats = npt.NDArray[np.float64]

INTERVAL = 1.96
"""Spreads on either side of what was expected, for an interval of 95%."""


@dataclass(frozen=True)
class Judgement:
    """The answers of one tick; arrays `(series,)`, counts in posts and shares as 0-1."""

    observed: Floats
    """The count, or the share; NaN for a share of nothing, which has no score."""
    expected: Floats
    low: Floats
    """The ends of the interval in which 95% of the values were expected."""
    high: Floats
    deviation: Floats
    """Observed beyond expected in standard deviations, on the scale of equal noise; 0 for NaN."""
    score: Floats
    """0-1; THRESHOLD and above is an anomaly."""
    anomaly: npt.NDArray[np.bool_]
    """Once a peak, for what is high and what is low: a spike is one with a deviation above 0."""


def judge(
    detector: Detector,
    hours: npt.NDArray[np.int64],
    parts: Floats,
    totals: Floats,
    weights: Floats | None = None,
) -> Judgement:
    """Judge and learn one bucket a series, `(series,)`.

    Args:
        detector: the state; what a series is, a count or a share, must stay the same.
        hours: the hour of the week of each bucket, 0 = Monday 00:00, 167 = Sunday 23:00.
        parts: posts counted; for a share those (or their summed probabilities) of `totals`. NaN
            is no value.
        totals: NaN where the series is a count; the posts of the bucket where it is a share.
        weights: of a count, how many posts each counted one stands for; 1 unless given.

    Raises:
        ValueError: for arrays of another length, or hours outside the week.
    """
    share = ~np.isnan(totals)
    weights = np.ones(len(parts)) if weights is None else weights
    counts, shares = of_counts(parts, weights), of_shares(parts, totals)
    values, noise = (np.where(share, *pair) for pair in zip(shares, counts, strict=True))
    signals = detector.step(hours, values, noise)
    centre = np.where(share, to_shares(signals.expected), to_counts(signals.expected))
    reach = INTERVAL * signals.spread
    low, high = (
        np.where(share, to_shares(end, totals), to_counts(end))
        for end in (signals.expected - reach, signals.expected + reach)
    )
    low, high = np.fmin(low, centre), np.fmax(high, centre)
    with np.errstate(invalid="ignore", divide="ignore"):
        # A total of 0 is no value, whatever the parts: posts may wait for more before they count.
        observed = np.where(share, parts / np.where(totals > 0, totals, np.nan), parts * weights)
        deviation = np.nan_to_num(signals.deviation / signals.spread, posinf=0.0, neginf=0.0)
    return Judgement(observed, centre, low, high, deviation, signals.score, signals.anomaly)
