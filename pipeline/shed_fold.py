"""The exact fold of `shed`: how many posts of each bucket and track were left unscored.

The guarantee is that of `pipeline/fold.py`, with a position of its own: the counts are a function
of the records of `shed` before it. Every record counts, copies of one post as well, so that the
counters of both topics and the dead letters add up to what was produced.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.buckets import LEVELS, BucketKey, Deltas, Fields
from pipeline.fold import Folded, Position, Positions
from pipeline.fold_plan import Plan
from pipeline.keys import Keys
from pipeline.shedding import Shed
from pipeline.times import epoch_ms


@dataclass(frozen=True, slots=True)
class _ShedKeys(Keys):
    """The same buckets under another position."""

    @property
    def position(self) -> str:
        return self.shed


class ShedFolder(Positions):
    """Folds batches of `shed` into the store."""

    def keys(self, partition: int) -> Keys:
        """The names of a partition's keys."""
        return _ShedKeys(self.namespace, partition)

    def fold(
        self, partition: int, expected: Position, batch: Sequence[Shed], next_offset: int
    ) -> Folded:
        """Apply a batch that begins at `expected` and ends before `next_offset`."""
        deltas = shed_deltas(batch)
        plan = Plan(self.keys(partition))
        plan.count(deltas)
        plan.counters.append([1, 0, "posts", len(batch)])
        applied, stored = self.apply(plan, expected, deltas, {"offset": next_offset})
        if applied:
            return Folded(True, Position(next_offset), shed=len(batch))
        return Folded(False, self.position(partition) if stored else Position())


def shed_deltas(batch: Sequence[Shed]) -> Deltas:
    """What a batch adds to the buckets and totals of its tracks."""
    buckets: dict[BucketKey, Fields] = defaultdict(lambda: defaultdict(int))
    totals: dict[str, Fields] = defaultdict(lambda: defaultdict(int))
    for shed in batch:
        seconds = epoch_ms(shed.created_at) // 1000
        for track in shed.tracks:
            totals[track]["shed"] += 1
            for level, width in LEVELS.items():
                buckets[BucketKey(level, seconds - seconds % width, track)]["shed"] += 1
    return Deltas(buckets, totals)
