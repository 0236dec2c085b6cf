"""Which record it is that a transaction fails for, found by halving; and what becomes of it.

After a failure for a reason that repeats, the records of the transaction are tried again in pieces:
each partition by itself, then its halves, down to one record. What is good goes through meanwhile.
A bad one among n costs 2 log2(n) further transactions at most.

One record that fails by itself is answered by less each time: by what the stage says of it, by its
dead letter, by a dead letter of a few bytes. Where nothing is taken, its partition waits and the
others go on; then it is tried again from the beginning.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from kafka import TopicPartition

from pipeline.topics import LETTER_BYTES

ROOMS = (None, LETTER_BYTES, 10_000, 1_200)
"""Bytes of a dead letter by attempt; first the stage has its say."""
SHORTEST_WAIT, LONGEST_WAIT = 5.0, 20.0
"""Seconds before a partition that waits is tried again."""


@dataclass(slots=True)
class Piece:
    """Records of one partition that are tried by themselves: those from its position to `end`."""

    place: TopicPartition
    end: int
    """Offset behind the last of them."""
    due: float = 0.0
    """Not before, on the steady clock."""


@dataclass(slots=True)
class Culprit:
    """A record that failed by itself."""

    offset: int
    error: Exception
    """Why it failed first."""
    attempt: int = 0
    waits: int = 0


class Isolation:
    """The pieces, and by partition the record that failed. `clock` is steady, in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._pieces: list[Piece] = []
        self._culprits: dict[TopicPartition, Culprit] = {}

    def __bool__(self) -> bool:
        return bool(self._pieces or self._culprits)

    def failed(
        self,
        taken: Mapping[TopicPartition, Sequence[int]],
        error: Exception,
        *,
        unavailable: bool = False,
    ) -> None:
        """A transaction failed with the records at these offsets, in their order.

        Args:
            unavailable: because of a topic, so that no other answer would do.
        """
        taken = {place: offsets for place, offsets in taken.items() if offsets}
        if len(taken) > 1:
            self._pieces[:0] = [Piece(place, at[-1] + 1) for place, at in taken.items()]
            return
        for place, at in taken.items():
            if len(at) > 1:
                ends = at[len(at) // 2], at[-1] + 1
                self._pieces[:0] = [Piece(place, end) for end in ends]
            else:
                self._blame(place, at[0], error, unavailable)

    def _blame(
        self, place: TopicPartition, offset: int, error: Exception, unavailable: bool
    ) -> None:
        culprit = self._culprits.get(place)
        if culprit is None or culprit.offset != offset:
            culprit = self._culprits[place] = Culprit(offset, error)
        culprit.attempt += 1
        due = 0.0
        if unavailable or culprit.attempt == len(ROOMS):
            # A topic that is mended takes more than the last attempt.
            culprit.attempt = 0
            due = self._clock() + min(LONGEST_WAIT, SHORTEST_WAIT * 2**culprit.waits)
            culprit.waits = min(culprit.waits + 1, 10)
            culprit.error = error
        self._pieces.insert(0, Piece(place, offset + 1, due))

    def passed(self, offsets: Mapping[TopicPartition, int]) -> None:
        """A transaction was committed up to these offsets."""
        for place, offset in offsets.items():
            culprit = self._culprits.get(place)
            if culprit is not None and offset > culprit.offset:
                del self._culprits[place]
        self._pieces = [p for p in self._pieces if offsets.get(p.place, -1) < p.end]

    def keep(self, assigned: set[TopicPartition]) -> None:
        """Forget what is another member's by now."""
        self._pieces = [piece for piece in self._pieces if piece.place in assigned]
        self._culprits = {p: c for p, c in self._culprits.items() if p in assigned}

    def next(self) -> Piece | None:
        """The piece to try now, alone; None where any record of a partition that does not wait may
        be read.
        """
        now = self._clock()
        waiting = self.waiting()
        for piece in self._pieces:
            if piece.due <= now and piece.place not in waiting:
                return piece
        return None

    def waiting(self) -> dict[TopicPartition, Culprit]:
        """The partitions that wait, each for a record that nobody takes an answer for."""
        now = self._clock()
        places = {piece.place for piece in self._pieces if piece.due > now}
        return {p: self._culprits[p] for p in places if p in self._culprits}

    def culprit(self, place: TopicPartition, offset: int) -> Culprit | None:
        """What is known of this record, where it failed by itself."""
        culprit = self._culprits.get(place)
        return culprit if culprit is not None and culprit.offset == offset else None
