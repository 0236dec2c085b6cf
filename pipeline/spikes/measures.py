"""Counts and shares on scales where chance has the same size everywhere.

The root of a Poisson count has a standard deviation of about 1/2 whatever its mean (Bartlett,
1936; Anscombe, Biometrika 1948), the arcsine of the root of a share about 1 / (2 √n). So a share of
three posts carries a noise that no deviation of it can exceed by much, and a share of a thousand
posts little.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def of_counts(counts: Floats, weights: Floats | None = None) -> tuple[Floats, Floats]:
    """Values and their noise for the detector, from counts ≥ 0, `(series,)`; NaN stays NaN.

    Where only a sample was counted, `weights` says how many each of it stands for: the value is
    that of the whole, and the noise that of the sample.
    """
    weights = np.ones(len(counts)) if weights is None else weights
    return np.sqrt(weights * (counts + 0.375)), 0.5 * np.sqrt(weights)


def of_shares(parts: Floats, totals: Floats) -> tuple[Floats, Floats]:
    """Values and their noise for the detector, from `parts` of `totals`, `(series,)`.

    A total of 0 is no value. The corrected form of Anscombe keeps the noise steady near 0 and 1.
    """
    known = totals > 0
    totals = np.where(known, totals, np.nan)
    values = np.arcsin(np.sqrt((parts + 0.375) / (totals + 0.75)))
    return values, np.where(known, 0.5 / np.sqrt(np.where(known, totals, 1.0) + 0.5), 0.0)


def to_counts(values: Floats) -> Floats:
    """The counts of values on the scale of `of_counts`; for `expected` and its interval."""
    return np.maximum(np.maximum(values, 0.0) ** 2 - 0.375, 0.0)


def to_shares(values: Floats, totals: Floats | None = None) -> Floats:
    """The shares of values on the scale of `of_shares`.

    With the `totals` behind them they are what `of_shares` took, to the last digit; without, the
    correction for small totals stays in: the shares that many posts would have.
    """
    shares = np.sin(np.clip(values, 0.0, np.pi / 2)) ** 2
    if totals is None:
        return shares
    known = np.where(totals > 0, totals, np.nan)
    return np.clip(shares + (0.75 * shares - 0.375) / known, 0.0, 1.0)
