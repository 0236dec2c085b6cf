"""The exact fold of `deletions`: exemplars of deleted posts go, and do not come back.

The guarantee is that of `pipeline/fold.py`, with a position of its own. The deletions and the
events of `sentiment` may be folded in either order, as when the store is built anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.buckets import Deltas
from pipeline.fold import Folded, Position, Positions
from pipeline.fold_plan import Plan
from pipeline.keys import Keys, member_of


@dataclass(frozen=True, slots=True)
class _DeletionKeys(Keys):
    """The same exemplars under another position."""

    @property
    def position(self) -> str:
        return self.deletions


class DeletionFolder(Positions):
    """Folds batches of `deletions` into the store."""

    def keys(self, partition: int) -> Keys:
        """The names of a partition's keys."""
        return _DeletionKeys(self.namespace, partition)

    def fold(
        self,
        partition: int,
        expected: Position,
        batch: Sequence[tuple[str, int]],
        next_offset: int,
    ) -> Folded:
        """Apply a batch that begins at `expected` and ends before `next_offset`: ids of posts, and
        when Kafka got the record, epoch milliseconds."""
        plan = Plan(self.keys(partition))
        plan.forget((member_of(post_id), timestamp) for post_id, timestamp in batch)
        plan.counters.append([1, 0, "posts", len(batch)])
        applied, stored = self.apply(plan, expected, Deltas(), {"offset": next_offset})
        if applied:
            return Folded(True, Position(next_offset), deleted=len(batch))
        return Folded(False, self.position(partition) if stored else Position())
