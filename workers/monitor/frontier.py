"""Up to when everything that had reached the raw topics has been counted. Pure.

The stages read their partitions in runs, one after the other, so that the newest event time says
nothing about what is unread. What is unread is known from offsets. A *mark* is a moment. It goes
through a stage once the stage has committed all that its topics held when the mark came to it;
behind the last stage, everything is counted that had arrived by that moment.

Guarantee. `passed` is such a moment, whatever the order of reading, the partitioner, the number of
topics and of processes. It holds for as long as a stage stands still, or works off a backlog of
other partitions. A partition whose reader does not move for `STUCK_SECONDS` in which its stage, or
one behind it, is done with all the others, is waited for no more until it moves again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from kafka import TopicPartition

STUCK_SECONDS = 600.0
"""A reader that stands still for so long, while others are done, is not waited for."""
_STEP_SECONDS = 10.0
"""Between two looks at who moves; who has done what there was a step ago has no backlog."""
_MOST_MARKS = 64
"""On their way; of more, every other one is dropped: what is known is coarser then."""
_NEVER = float("-inf")

Offsets = Mapping[TopicPartition, int]


class Stage(NamedTuple):
    """The input of a stage: its ends, and what its readers have committed, looked up after them."""

    name: str
    ends: Offsets
    done: Offsets


class Look(NamedTuple):
    """Where every stage stands. Each was looked at after the one before it, all after `at`."""

    at: float
    """Steady clock, seconds."""
    stages: Sequence[Stage]


@dataclass(slots=True)
class _Mark:
    at: float
    stage: int
    wanted: Offsets


@dataclass(slots=True)
class _Movement:
    """For how long those of a stage that moved were done, and when in that time each of its
    partitions last moved."""

    active: float = 0.0
    moved: dict[TopicPartition, float] = field(default_factory=dict)


class Frontier:
    """The marks on their way. Times are of one steady clock, in seconds."""

    def __init__(self) -> None:
        self.passed = _NEVER
        """All that had arrived by then is counted."""
        self.stuck: frozenset[TopicPartition] = frozenset()
        """Partitions that are not waited for."""
        self._marks: list[_Mark] = []
        self._last: Look | None = None
        self._before: Look | None = None
        self._movements: list[_Movement] = []

    def forget(self) -> None:
        """The last stage reads other partitions now: what was known of it is of no use."""
        self.passed, self._marks = _NEVER, []

    def look(self, look: Look) -> None:
        """Take in a look, and begin a mark with it."""
        self._watch(look)
        self._last = look
        kept = self._marks[::2] if len(self._marks) >= _MOST_MARKS else self._marks
        self._marks = [*kept, _Mark(look.at, 0, look.stages[0].ends)]
        for mark in self._marks:
            while self._through(mark.wanted, look.stages[mark.stage].done):
                mark.stage += 1
                if mark.stage == len(look.stages):
                    break
                mark.wanted = look.stages[mark.stage].ends
        through = [mark.at for mark in self._marks if mark.stage == len(look.stages)]
        if through:
            self.passed = max(self.passed, *through)
            self._marks = [mark for mark in self._marks if mark.at > self.passed]

    def behind(self, now: float) -> tuple[float, str]:
        """How long ago the oldest mark on its way was made (seconds), and the stage it is in."""
        # From any thread: the list is replaced, and not changed.
        last, oldest = self._last, next(iter(self._marks), None)
        if last is None or oldest is None:
            return 0.0, ""
        stage = min(oldest.stage, len(last.stages) - 1)
        return max(0.0, now - oldest.at), last.stages[stage].name

    def _through(self, wanted: Offsets, done: Offsets) -> bool:
        return all(
            done.get(place, 0) >= end or place in self.stuck for place, end in wanted.items()
        )

    def _watch(self, look: Look) -> None:
        """Note who moves. One that was stuck and moves makes void what passed without it."""
        before = self._before
        if before is None:
            self._before, self._movements = look, [_Movement() for _ in look.stages]
        if before is None or look.at - before.at < _STEP_SECONDS:
            return
        self._before = look
        active = False
        stuck: set[TopicPartition] = set()
        # From the last one on: that a stage before it moves says nothing about a stage.
        for old, new, movement in reversed(
            list(zip(before.stages, look.stages, self._movements, strict=True))
        ):
            moved = {place for place, at in new.done.items() if at > old.done.get(place, 0)}
            level = {place for place, at in new.done.items() if at >= old.ends.get(place, 0)}
            active = moved <= level if moved else active
            movement.active += (look.at - before.at) if active else 0.0
            movement.moved |= dict.fromkeys(moved | level, movement.active)
            stuck |= {
                place
                for place in new.ends
                if movement.active - movement.moved.setdefault(place, movement.active)
                >= STUCK_SECONDS
            }
        if self.stuck - stuck:
            self.forget()
        self.stuck = frozenset(stuck)
