"""Combine: batches of `sentiment` summed into rollups by track, in Kafka transactions.

Everything that it says is a function of the records and their order, but for the progress of
partitions, which may be said again. It runs in `pipeline.delivery`: rollups and offsets become
visible together, so that each event is in exactly one rollup, whatever dies.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence

from pipeline.errors import UNDECODABLE, Unreadable
from pipeline.event import event_decoder
from pipeline.headers import Headers, cloud_event
from pipeline.post import encoder
from pipeline.records import Outgoing, Record, dead_letter
from pipeline.rollups import Arrived, Progress, Rollup, Source, roll_up
from pipeline.telemetry import Telemetry
from pipeline.topics import ROLLUPS

HEARTBEAT_SECONDS = 15.0
"""Progress is told this often where it has not changed; readers know by it that all is alive."""
IDLE_SECONDS = 5.0
"""An idle partition says so this often: only then are the minutes complete that others have told of
since.
"""
LOOK_SECONDS = 2.0
"""Between two looks at what is on its way, while nothing comes."""


class Combine:
    """The transform of `sentiment`, and what it says in pauses. It touches no consumer: the
    transform runs beside the thread that has it.

    Args:
        idle_seconds: silence after which a partition holds nobody.
        targets: partitions of `rollups`.
        assigned: the partitions of `sentiment` that are this member's now.
        waiting: those of them of which posts are on their way, given the next offset of each.
        clock: steady, in seconds.
    """

    def __init__(
        self,
        *,
        idle_seconds: float,
        targets: int,
        assigned: Callable[[], Collection[int]],
        waiting: Callable[[Mapping[int, int]], Collection[int]],
        telemetry: Telemetry,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._idle_seconds = idle_seconds
        self._targets = targets
        self._assigned = assigned
        self._on_their_way = waiting
        self._telemetry = telemetry
        self._clock = clock
        self._sources: dict[int, Source] = {}
        self._read: dict[int, int] = {}
        self._told: dict[int, tuple[float, Progress]] = {}
        self._waiting: Collection[int] = ()
        self._looked = float("-inf")

    def __call__(self, records: Sequence[Record]) -> list[Outgoing]:
        """Answer a batch with its rollups, dead letters, and the progress behind it."""
        self._own()
        batches: dict[int, list[Record]] = {}
        for record in records:
            batches.setdefault(record.partition, []).append(record)
        answers: list[Outgoing] = []
        for partition, batch in batches.items():
            self._read[partition] = batch[-1].offset + 1
            answers += self._rollups(partition, batch)
        # Others of these partitions may have woken with this batch, and wait to be read.
        self._look()
        return answers + self._progress()

    def pause(self) -> list[Outgoing]:
        """The progress of partitions, where it is new or was not told for a while."""
        self._own()
        if self._clock() - self._looked >= LOOK_SECONDS:
            self._look()
        return self._progress()

    def _rollups(self, partition: int, batch: Sequence[Record]) -> list[Outgoing]:
        arrived: list[Arrived] = []
        letters: list[Outgoing] = []
        for record in batch:
            if record.value is None:
                continue
            try:
                event = event_decoder.decode(record.value)
            except UNDECODABLE as error:
                reason = Unreadable(f"not a sentiment event: {error}")
                self._telemetry.dead_lettered(reason)
                letters.append(dead_letter(record, reason))
                continue
            # An edit is a post that was counted before.
            if event.revision == 0:
                arrived.append(Arrived(event, record.timestamp))
        rollups, newest = roll_up(partition, batch[0].offset, batch[-1].offset, arrived)
        source = self._sources.get(partition)
        if source is not None and newest:
            source.saw(newest, self._clock())
        self._telemetry.count("ok", len(arrived))
        return [_rollup(rollup, batch[0].headers) for rollup in rollups] + letters

    def _own(self) -> None:
        """Forget partitions that are another's now, and begin with new ones."""
        assigned = self._assigned()
        now = self._clock()
        for partition in self._sources.keys() - set(assigned):
            del self._sources[partition]
            self._told.pop(partition, None)
            self._read.pop(partition, None)
        for partition in assigned:
            if partition not in self._sources:
                self._sources[partition] = Source(partition, self._idle_seconds, now)

    def _look(self) -> None:
        if any(source.silent(self._clock()) for source in self._sources.values()):
            self._waiting = self._on_their_way({p: self._read.get(p, 0) for p in self._sources})
        self._looked = self._clock()

    def _progress(self) -> list[Outgoing]:
        """Told to every partition of `rollups`, since any of them may hold a track."""
        now = self._clock()
        answers: list[Outgoing] = []
        for partition, source in self._sources.items():
            progress = source.progress(now, partition in self._waiting)
            told = self._told.get(partition)
            pause = IDLE_SECONDS if progress.idle else HEARTBEAT_SECONDS
            if told is not None and _same(told[1], progress) and now - told[0] < pause:
                continue
            self._told[partition] = now, progress
            value = encoder.encode(progress)
            headers = _headers("progress", f"{partition}:{progress.newest}", [])
            answers += [
                Outgoing(ROLLUPS, None, value, headers, partition=target)
                for target in range(self._targets)
            ]
        return answers


def _same(told: Progress, now: Progress) -> bool:
    """Whether a reader who acts on whole minutes learns nothing from the second."""
    return (told.newest // 60_000, told.idle) == (now.newest // 60_000, now.idle)


def _rollup(rollup: Rollup, parent: Headers) -> Outgoing:
    name = f"{rollup.partition}:{rollup.last}:{rollup.track}"
    key = rollup.track.encode()
    return Outgoing(ROLLUPS, key, encoder.encode(rollup), _headers("rollup", name, parent))


def _headers(kind: str, name: str, parent: Headers) -> Headers:
    return cloud_event(f"weathervane.{kind}", "/weathervane/monitor", name, parent)
