"""Where a rise began: the most likely minute, given the deviations of a run. Pure.

Chance alone lifts a minute in twenty above the bound at which a run begins, and a spike that comes
before such a run has ended did not begin with it. Of deviations of standard deviation 1 whose mean
went from 0 to some other level, the change lies most likely at the minute since which
(sum of deviations)² / (number of minutes) is largest (Hinkley, Biometrika 1970).

A minute behind a higher stretch is never that one: whatever comes, to begin with the higher stretch
is as likely or more. So minutes are put together until the means of the stretches rise, which
leaves a handful of them, however long the run.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from pipeline.rollups import Cell


class Stretch(msgspec.Struct):
    """Minutes in a row."""

    start: int
    """The first of them, epoch seconds."""
    cell: Cell
    """Sums over all posts of the track."""
    posts: int = 0
    """Of the series."""
    values: int = 0
    """Minutes in which something was observed."""
    deviations: float = 0.0
    """Their sum, in standard deviations above what was expected."""

    def add(self, other: Stretch) -> None:
        """Take in the stretch that follows."""
        self.cell.add(other.cell)
        self.posts += other.posts
        self.values += other.values
        self.deviations += other.deviations

    @property
    def mean(self) -> float:
        """Of the deviations; 0 where nothing was observed."""
        return self.deviations / max(1, self.values)


def lengthen(rise: list[Stretch], minute: Stretch) -> None:
    """Put the next minute of a run behind the others. One without a value says nothing about the
    start and belongs to what is before it.
    """
    if rise and not minute.values:
        rise[-1].add(minute)
        return
    rise.append(minute)
    while len(rise) > 1 and rise[-2].mean >= rise[-1].mean:
        last = rise.pop()
        rise[-1].add(last)


def since_onset(rise: Sequence[Stretch]) -> Stretch:
    """All from the most likely start on, the earliest of several, as one; `rise` is not empty."""
    values, deviations = 0, 0.0
    place, most = len(rise) - 1, -math.inf
    for at in reversed(range(len(rise))):
        values += rise[at].values
        deviations += rise[at].deviations
        likely = deviations * abs(deviations) / max(1, values)
        if likely >= most:
            place, most = at, likely
    whole = Stretch(rise[place].start, Cell())
    for stretch in rise[place:]:
        whole.add(stretch)
    return whole
