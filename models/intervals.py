"""How sure a score is: bootstrap intervals, paired differences, McNemar's test.

A measure takes weights `(resamples, rows)` and gives named values `(resamples,)` (models/metrics.py
has the parts). Rows of one group (a speaker, a dialogue) are drawn together, since they resemble
each other: with few groups the interval is wide and rough.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec
import numpy as np

from models.metrics import Bools, Floats, Values

Measure = Callable[[Floats], Mapping[str, Values]]
RESAMPLES = 1000
COVERED = (2.5, 97.5)  # percent: a 95% interval
CELLS = 4_000_000  # weights held at a time, 8 bytes each


class Estimate(msgspec.Struct, frozen=True):
    """A score and its 95% interval."""

    value: float
    low: float
    high: float


class Difference(msgspec.Struct, frozen=True):
    """One model's score less another's on the same rows, its 95% interval, and the p-value."""

    value: float
    low: float
    high: float
    p: float


class Discordance(msgspec.Struct, frozen=True):
    """McNemar's test: rows that only the first, and only the second model has right; p-value."""

    only_first: int
    only_second: int
    p: float


def bootstrap(
    measure: Measure,
    rows: int,
    groups: Sequence[str | None] | None = None,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Estimate]:
    """Every score of `measure` with its percentile interval (Efron & Tibshirani 1993, ch. 13).

    The value is the score of all rows once. The same seed gives the same interval.
    """
    values = _once(measure, rows)
    drawn = [measure(weights) for weights in resample(rows, groups, resamples, seed)]
    return {
        name: Estimate(value, *_covered(np.concatenate([part[name] for part in drawn])))
        for name, value in values.items()
    }


def paired(
    first: Measure,
    second: Measure,
    rows: int,
    groups: Sequence[str | None] | None = None,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Difference]:
    """The scores of `first` less those of `second`, both on the same resamples of the same rows.

    The p-value is twice the share of resamples on the other side of no difference, at most 1.
    """
    of_first, of_second = _once(first, rows), _once(second, rows)
    gaps: dict[str, list[Values]] = {name: [] for name in of_first}
    for weights in resample(rows, groups, resamples, seed):
        one, other = first(weights), second(weights)
        for name, parts in gaps.items():
            parts.append(one[name] - other[name])
    result: dict[str, Difference] = {}
    for name, parts in gaps.items():
        drawn = np.concatenate(parts)
        tail = min(int((drawn <= 0).sum()), int((drawn >= 0).sum()))
        p = min(1.0, 2 * (tail + 1) / (len(drawn) + 1))
        result[name] = Difference(of_first[name] - of_second[name], *_covered(drawn), p)
    return result


def mcnemar(first_right: Bools, second_right: Bools) -> Discordance:
    """Exact test of whether two models are wrong equally often on the same rows (McNemar 1947)."""
    one = int((first_right & ~second_right).sum())
    other = int((~first_right & second_right).sum())
    n, least = one + other, min(one, other)
    log_half = n * math.log(2)
    tail = sum(
        math.exp(math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) - log_half)
        for k in range(least + 1)
    )
    return Discordance(one, other, min(1.0, 2 * tail))


def resample(
    rows: int, groups: Sequence[str | None] | None, resamples: int, seed: int
) -> Iterator[Values]:
    """Weights `(some, rows)`, `resamples` in all: how often each row was drawn.

    Groups are drawn with replacement, each with all of its rows; a row without one is its own.
    """
    generator = np.random.default_rng(seed)
    labels = range(rows) if groups is None else _labels(groups)
    _, member = np.unique(labels, return_inverse=True)  # (rows,)
    units = int(member.max()) + 1
    shares = np.full(units, 1 / units)
    left = resamples
    while left > 0:
        count = min(left, max(1, CELLS // rows))
        drawn = generator.multinomial(units, shares, size=count)  # (count, units)
        yield drawn[:, member].astype(np.float64)
        left -= count


def _labels(groups: Sequence[str | None]) -> list[str]:
    return [f"row {i}" if name is None else f"group {name}" for i, name in enumerate(groups)]


def _once(measure: Measure, rows: int) -> dict[str, float]:
    return {name: float(value[0]) for name, value in measure(np.ones((1, rows))).items()}


def _covered(drawn: Values) -> tuple[float, float]:
    low, high = np.percentile(drawn, COVERED)
    return float(low), float(high)
