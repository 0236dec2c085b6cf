"""What values a series has taken, and how far a new one lies from all of them.

One series keeps the ends of the range that its values span and one bit for each of the cells of a
grid over that range in which a value was seen. The novelty of a value is its distance from the
nearest seen cell, as a share of the range: nearest-neighbour novelty on a grid. It assumes no
distribution and no unit, and a level or a peak that was seen once is no longer new.

The range shrinks a little each tick, so that what happened long ago is forgotten. Cells are powers
of two wide, so that a grid made wider merges whole cells and one made finer divides them; it is
made anew only where the range has outgrown it or has shrunk to a corner of it.

Related: outliers by distance from the nearest neighbour, Knorr and Ng (VLDB 1998); categories that
are made where nothing known matches, Carpenter, Grossberg and Rosen (Neural Networks 1991).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.spikes.state import State

Floats = npt.NDArray[np.float64]
Cells = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]

CELLS = 1024
_FINEST = 256
"""A new grid divides the range into more than half this many cells, and at most this many."""
_PRECISION = 2.0**-40
"""The narrowest cell, as a share of the largest magnitude: beyond it doubles run out of digits."""
_SMALLEST = 2.0**-60
_GRID = np.dtype((np.void, CELLS // 8))
"""A bit a cell, the lowest cell in the lowest bit of the first byte."""
_ONE = np.uint64(1)


@dataclass(frozen=True)
class Place:
    """Where values lie among those seen before; arrays `(series,)`, 0 without a value."""

    gap: Floats
    """The distance from the nearest seen cell, in the values' unit; 0 for the first value."""
    span: Floats
    """The range of the series with this value in it."""


class Memory(State):
    """The values seen by `count` series."""

    def __init__(self, count: int, forget: float) -> None:
        """`forget` is the share of its range that a series forgets at each end a tick."""
        self._forget = forget
        self._low = np.full(count, np.nan)
        self._high = np.full(count, np.nan)
        self._grid = np.zeros(count, dtype=_GRID)
        self._first = np.zeros(count, dtype=np.int64)
        self._width = np.ones(count)

    @property
    def _seen(self) -> npt.NDArray[np.uint8]:
        """The bits of the grids, `(series, CELLS / 8)`; what is written here is kept."""
        return self._grid.view(np.uint8).reshape(len(self._grid), CELLS // 8)

    def step(self, part: slice, values: Floats) -> Place:
        """Find the place of one value a series in `part` and learn it; NaN is no value."""
        here = ~np.isnan(values)
        low, high = self._low[part], self._high[part]
        shrink = self._forget * (high - low)
        low = np.where(here, np.fmin(low + shrink, values), low)
        high = np.where(here, np.fmax(high - shrink, values), high)
        self._low[part], self._high[part] = low, high
        self._fit(part, low, high)
        first, width = self._first[part], self._width[part]
        values = np.where(here, values, first * width)
        cell = np.floor(values / width).astype(np.int64) - first
        rows, seen = np.arange(part.start, part.stop), self._seen
        byte, bit = cell >> 3, np.left_shift(np.uint8(1), (cell & 7).astype(np.uint8))
        known = seen[rows, byte]
        gap = np.zeros(len(values))
        new = np.flatnonzero(((known & bit) == 0) & here)
        if new.size:
            gap[new] = self._gap(rows[new], values[new], cell[new])
        seen[rows, byte] = np.where(here, known | bit, known)
        return Place(gap, np.where(here, high - low, 0.0))

    def _gap(self, rows: Cells, values: Floats, cell: Cells) -> Floats:
        """Distance to the nearer edge of the nearest seen cells."""
        words = self._seen[rows].view(np.uint64)
        below, above = _nearest(words, cell)
        first, width = self._first[rows], self._width[rows]
        under = np.where(below >= 0, values - (first + below + 1) * width, np.inf)
        over = np.where(above >= 0, (first + above) * width - values, np.inf)
        gap = np.minimum(under, over)
        return np.where(np.isinf(gap), 0.0, np.maximum(gap, 0.0))

    def _fit(self, part: slice, low: Floats, high: Floats) -> None:
        """Make new grids for those series whose range their grid does not fit."""
        first, width = self._first[part], self._width[part]
        least = np.maximum(_PRECISION * np.maximum(np.abs(low), np.abs(high)), _SMALLEST)
        span = np.maximum(high - low, _FINEST * least)
        with np.errstate(invalid="ignore"):
            fits = (low >= first * width) & (high < (first + CELLS) * width)
            fits &= span > 0.1 * _FINEST * width
        stale = np.flatnonzero(~fits & ~np.isnan(low))
        if not stale.size:
            return
        rows = stale + part.start
        _, power = np.frexp(span[stale] / _FINEST)
        finer = np.ldexp(1.0, power)
        start = np.floor(0.5 * (low + high)[stale] / finer).astype(np.int64) - CELLS // 2
        self._seen[rows] = _regrid(
            self._seen[rows], self._first[rows], self._width[rows], start, finer
        )
        self._first[rows], self._width[rows] = start, finer


def _nearest(words: Words, cell: Cells) -> tuple[Cells, Cells]:
    """The seen cells next below and above `cell`, which is not seen itself; -1 for none.

    `words` are the grids, `(series, CELLS / 64)`, the lowest cell in the lowest bit.
    """
    rows, places = np.arange(len(words)), np.arange(words.shape[1])
    own, bit = cell >> 6, np.left_shift(_ONE, (cell & 63).astype(np.uint64))
    under = np.where(places < own[:, None], words, np.uint64(0))
    over = np.where(places > own[:, None], words, np.uint64(0))
    under[rows, own] = words[rows, own] & (bit - _ONE)
    over[rows, own] = words[rows, own] & ~(bit - _ONE)
    last = words.shape[1] - 1 - np.argmax(under[:, ::-1] != 0, axis=1)
    next_ = np.argmax(over != 0, axis=1)
    top, low = under[rows, last], over[rows, next_]
    below = _exponent(top & ~(top >> _ONE)) + 64 * last
    above = _exponent(low & (~low + _ONE)) + 64 * next_
    return np.where(top == 0, -1, below), np.where(low == 0, -1, above)


def _exponent(words: Words) -> Cells:
    """The place of the highest bit, where the next lower one is not set (so no rounding up)."""
    return np.frexp(words.astype(np.float64))[1].astype(np.int64) - 1


def _regrid(
    seen: npt.NDArray[np.uint8], first: Cells, width: Floats, start: Cells, finer: Floats
) -> npt.NDArray[np.uint8]:
    """The seen cells of an old grid on a new one; what lies outside it is forgotten.

    Old and new cells share their edges, so each new cell covers whole old ones or lies in one.
    """
    count = np.concatenate(
        [
            np.zeros((len(seen), 1), dtype=np.int64),
            np.cumsum(np.unpackbits(seen, axis=1, bitorder="little"), axis=1, dtype=np.int64),
        ],
        axis=1,
    )
    edges = (start[:, None] + np.arange(CELLS + 1)) * (finer / width)[:, None] - first[:, None]
    edges = np.clip(edges, 0, CELLS)
    left = np.take_along_axis(count, np.floor(edges[:, :-1]).astype(np.int64), axis=1)
    right = np.take_along_axis(count, np.ceil(edges[:, 1:]).astype(np.int64), axis=1)
    return np.packbits(right > left, axis=1, bitorder="little")
