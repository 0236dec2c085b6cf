"""The exact fold: the only writer of the counters.

Guarantee. The counters of a partition are a function of the records before its stored position,
whatever dies and however often a batch is repeated: one Lua call compares the stored position
with the expected one, applies the batch and stores the new position, all or nothing. A call that
a client library repeats after a time-out is refused, as is one of a zombie.

Not guaranteed: that the position never goes back. A store restored from an older snapshot is
older; the caller then reads `sentiment` again from the stored position.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

import redis

from pipeline.buckets import Deltas, Scored, sum_deltas
from pipeline.cascade import Cascade, Place
from pipeline.fold_plan import Plan, flat, kept_of
from pipeline.keys import Keys, member_of, version_of
from pipeline.times import epoch_ms

_GENERATIONS = 3
"""Two whole generations and the current one are looked at: the horizon is never shorter than
stated, and at most half longer."""
_YES = ("1", ord("1"))
"""A digit of the answer of seen.lua, of a client that decodes answers or of one that does not."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a partition stands in the store; `offset` is None where nothing is stored."""

    offset: int | None = None
    watermark: int = 0


@dataclass(frozen=True, slots=True)
class Folded:
    """The answer to one fold. Where it was refused, `position` is what is stored."""

    applied: bool
    position: Position
    counted: int = 0
    duplicates: int = 0
    edited: int = 0
    late: int = 0
    shed: int = 0
    deleted: int = 0


class Positions:
    """The positions of one topic in the store, by partition; what moves them applies a batch."""

    def __init__(self, client: redis.Redis, namespace: str = "wv") -> None:
        self.client = client
        self.namespace = namespace
        self._fold = client.register_script(_script("fold.lua"))

    def keys(self, partition: int) -> Keys:
        """The names of a partition's keys."""
        return Keys(self.namespace, partition)

    def position(self, partition: int) -> Position:
        """What the store holds for the partition, and a note that the partition exists."""
        keys = self.keys(partition)
        self.client.sadd(f"{self.namespace}:partitions", partition)
        offset, watermark = self.client.hmget(keys.position, ["offset", "watermark"])
        return Position(None if offset is None else int(offset), int(watermark or 0))

    def confirm(
        self, partition: int, expected: Position, reached: int, complete_ms: int
    ) -> Position:
        """Note that the partition is counted up to `reached`, its end at `complete_ms`.

        Nothing is noted where the store is elsewhere, which the answer, its position, shows.
        """
        plan = Plan(self.keys(partition))
        state = {"reached": reached, "complete_ms": complete_ms}
        applied, _ = self.apply(plan, expected, Deltas(), state)
        return expected if applied else self.position(partition)

    def apply(
        self, plan: Plan, expected: Position, deltas: Deltas, state: dict[str, int]
    ) -> tuple[bool, bool]:
        """Carry out a plan; whether it was, and else whether any position is stored."""
        stored = "" if expected.offset is None else expected.offset
        answer = self._fold(keys=plan.keys, args=[stored, plan.encode(deltas, state)])
        return bool(answer[0]), bool(answer[1])


class Folder(Positions):
    """Folds batches of `sentiment` into the store.

    `lateness_ms` and `dedupe_ms` must be the same in all aggregators of one namespace.
    """

    def __init__(
        self, client: redis.Redis, lateness_ms: int, dedupe_ms: int, namespace: str = "wv"
    ) -> None:
        super().__init__(client, namespace)
        self.cascade = Cascade(client, namespace)
        self._lateness_ms = lateness_ms
        self._generation_ms = max(1, dedupe_ms // (_GENERATIONS - 1))
        self._seen = client.register_script(_script("seen.lua"))

    def fold(
        self,
        partition: int,
        expected: Position,
        batch: Sequence[Scored],
        next_offset: int,
        now_ms: int,
    ) -> Folded:
        """Apply a batch that begins at `expected` and ends before `next_offset`."""
        keys = self.keys(partition)
        sorted_out = self._sort_out(keys, batch)
        fresh, edited = sorted_out.fresh, len(sorted_out.edited)
        deltas = sum_deltas(fresh, expected.watermark, self._lateness_ms)
        plan = Plan(keys)
        plan.count(deltas)
        timestamp = batch[-1].timestamp if batch else 0
        plan.keep(deltas, timestamp, self._enter(partition, deltas, sorted_out, timestamp))
        plan.remember(sorted_out.seen, 4 * self._generation_ms // 1000)
        duplicates = len(batch) - len(fresh) - edited
        own = {
            "events": len(fresh),
            "duplicates": duplicates,
            "edited": edited,
            "late": deltas.late,
        }
        plan.counters.append([1, 0, *flat(own)])
        state: dict[str, int] = {"offset": next_offset, "watermark": deltas.watermark}
        if batch:
            state["complete_ms"] = batch[-1].timestamp
        received = [scored.received for scored in batch if scored.received is not None]
        if received:
            state |= {"delay_ms": max(0, now_ms - received[-1]), "delay_at_ms": now_ms}
        applied, stored = self.apply(plan, expected, deltas, state)
        if applied:
            position = Position(next_offset, deltas.watermark)
            return Folded(True, position, len(fresh), duplicates, edited, deltas.late)
        return Folded(False, self.position(partition) if stored else Position())

    def _enter(
        self, partition: int, deltas: Deltas, sorted_out: _Sorted, timestamp: int
    ) -> dict[str, tuple[str, ...]]:
        """Enter the exemplars with what they go with, and say of each what it is hidden with.

        Versions of posts that are counted already are entered as well: a deletion may name them.
        """
        events = {scored.event.id: scored.event for scored in sorted_out.fresh}
        kept = [events[exemplar.id] for exemplar in kept_of(deltas)]
        edited = [scored.event for scored in sorted_out.edited if scored.event.deleted_with]
        pairs: list[tuple[Place, Place]] = []
        needs: dict[str, tuple[str, ...]] = {}
        for event in kept + edited:
            own = Place(partition, member_of(event.id))
            places = self.cascade.needs(event)
            pairs += [(own, place) for place in places]
            needs[event.id] = tuple(map(str, (own, *places)))
        self.cascade.enter(pairs, timestamp)
        return needs

    def _sort_out(self, keys: Keys, batch: Sequence[Scored]) -> _Sorted:
        """Tell the first event of each post from its later versions and from repeats.

        What is read here cannot change before the fold: only a fold changes it, and one in
        between moves the position, so that this one is refused.
        """
        found = _Sorted([], [], {})
        if not batch:
            return found
        numbers = [_numbers(scored) for scored in batch]
        flat = [number for several in numbers for number in several]
        sets = [
            keys.seen(scored.timestamp // self._generation_ms - back, number)
            for scored, several in zip(batch, numbers, strict=True)
            for number in several
            for back in range(_GENERATIONS)
        ]
        digits = self._seen(keys=sets, args=[_GENERATIONS, *flat])
        known = {number for number, digit in zip(flat, digits, strict=True) if digit in _YES}
        # The set of the present generation is the one that remembers.
        current: dict[int, str] = {}
        for number, name in zip(flat, sets[::_GENERATIONS], strict=True):
            current.setdefault(number, name)
        for scored, several in zip(batch, numbers, strict=True):
            if several[-1] in known:
                continue
            if several[0] in known:
                found.edited.append(scored)
            else:
                found.fresh.append(scored)
            for number in several:
                if number not in known:
                    known.add(number)
                    found.seen.setdefault(current[number], []).append(number)
        return found


@dataclass(slots=True)
class _Sorted:
    """A batch sorted out: what counts, edits of what was counted before, and the numbers to
    remember by the set that will hold them."""

    fresh: list[Scored]
    edited: list[Scored]
    seen: dict[str, list[int]]


def _numbers(scored: Scored) -> list[int]:
    """What is remembered of an event: its post, and of an edit the version as well."""
    event = scored.event
    numbers = [member_of(event.id)]
    if event.revision:
        edited_ms = epoch_ms(event.edited_at) if event.edited_at else 0
        numbers.append(version_of(event.id, event.revision, edited_ms))
    return numbers


@functools.cache
def _script(name: str) -> str:
    return files("pipeline").joinpath(name).read_text(encoding="utf-8")
