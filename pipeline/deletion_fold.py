"""The exact fold of `deletions`: exemplars of deleted posts go, with all that repeats their words,
and do not come back; those of hidden ones are not shown meanwhile.

The guarantee is that of `pipeline/fold.py`, with a position of its own: a batch is carried out
before the position moves, and may be carried out again. The deletions and the events of
`sentiment` may be folded in either order, as when the store is built anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import redis

from pipeline.buckets import Deltas
from pipeline.cascade import Cascade, Place
from pipeline.deletion import Deletion
from pipeline.fold import Folded, Position, Positions
from pipeline.fold_plan import Plan
from pipeline.keys import Keys
from pipeline.pseudonym import names_of


class Said(NamedTuple):
    """A record of `deletions`, and when Kafka got it, epoch milliseconds."""

    deletion: Deletion
    timestamp: int


@dataclass(frozen=True, slots=True)
class _DeletionKeys(Keys):
    """The same exemplars under another position."""

    @property
    def position(self) -> str:
        return self.deletions


class DeletionFolder(Positions):
    """Folds batches of `deletions` into the store.

    `salt` is the one that authors are published with; without it only authors of Bluesky, whose
    ids are in those of their posts, are found.
    """

    def __init__(
        self,
        client: redis.Redis,
        namespace: str = "wv",
        cascade: Cascade | None = None,
        salt: str | None = None,
    ) -> None:
        super().__init__(client, namespace)
        self._cascade = cascade or Cascade(client, namespace)
        self._salt = salt

    def keys(self, partition: int) -> Keys:
        """The names of a partition's keys."""
        return _DeletionKeys(self.namespace, partition)

    def fold(
        self, partition: int, expected: Position, batch: Sequence[Said], next_offset: int
    ) -> Folded:
        """Apply a batch that begins at `expected` and ends before `next_offset`."""
        stored = self.position(partition)
        if stored.offset != expected.offset:
            return Folded(False, stored)
        self._carry_out(batch)
        plan = Plan(self.keys(partition))
        plan.counters.append([1, 0, "posts", len(batch)])
        applied, known = self.apply(plan, expected, Deltas(), {"offset": next_offset})
        if applied:
            return Folded(True, Position(next_offset), deleted=len(batch))
        return Folded(False, self.position(partition) if known else Position())

    def _carry_out(self, batch: Sequence[Said]) -> None:
        """In their order, where one takes back another; deletions of posts, the most, at once."""
        doomed: list[tuple[Place, int]] = []
        for deletion, timestamp in batch:
            places = self._places(deletion)
            if deletion.action == "delete":
                doomed += [(place, timestamp) for place in places]
                continue
            self._cascade.doom(doomed)
            doomed = []
            if deletion.action == "version":
                post = self._cascade.post(deletion.version_of or deletion.id)
                self._cascade.enter([(post, place) for place in places], timestamp)
                continue
            self._cascade.set_state([(place, deletion.action, timestamp) for place in places])
        self._cascade.doom(doomed)

    def _places(self, deletion: Deletion) -> list[Place]:
        if deletion.of == "author":
            names = names_of(deletion.id, self._salt)
            return [self._cascade.author(name) for name in names]
        return [self._cascade.post(deletion.id)]
