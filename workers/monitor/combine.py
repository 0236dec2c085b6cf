"""Combine: batches of `sentiment` summed into rollups by track, in Kafka transactions.

Everything that it says is a function of the records and their order, but for the progress of
partitions, which may be said again. It runs in `pipeline.delivery`: rollups and offsets become
visible together, so that each event is in exactly one rollup, whatever dies.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Sequence

from pipeline.errors import UNDECODABLE, Unreadable
from pipeline.event import event_decoder
from pipeline.headers import RECEIVED, Headers, cloud_event, header_int
from pipeline.post import encoder
from pipeline.records import Outgoing, Record, dead_letter
from pipeline.rollups import Arrived, Progress, Rollup, Source, roll_up
from pipeline.telemetry import Telemetry
from pipeline.times import epoch_ms
from pipeline.topics import ROLLUPS
from workers.monitor.certainty import Certainty
from workers.monitor.frontier import Look

HEARTBEAT_SECONDS = 15.0
"""Progress is told this often where it has not changed; readers know by it that all is alive."""
IDLE_SECONDS = 5.0
"""An idle partition says so this often: only then are the minutes complete that others have told of
since.
"""
LOOK_SECONDS = 1.0
"""Between two looks at what is on its way."""
RETRY_SECONDS = 5.0
"""Until the next look, where nobody knows."""
HELD_SECONDS = 600.0
"""Once alerts wait for this long it is said, and said again."""
log = logging.getLogger(__name__)


class Combine:
    """The transform of `sentiment`, and what it says in pauses. It touches no consumer: the
    transform runs beside the thread that has it.

    Args:
        idle_seconds: silence after which a partition holds nobody.
        lateness_ms: how much older than the newest a post may be.
        targets: partitions of `rollups`.
        assigned: the partitions of `sentiment` that are this member's now.
        upstream: where each stage stands, the reader of `sentiment` last; None: nobody knows.
        clock: steady, in seconds; that of `upstream`.
        wall: time of day, epoch seconds.
    """

    def __init__(
        self,
        *,
        idle_seconds: float,
        lateness_ms: int,
        targets: int,
        assigned: Callable[[], Collection[int]],
        upstream: Callable[[], Look | None],
        telemetry: Telemetry,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._idle_seconds, self._lateness_ms = idle_seconds, lateness_ms
        self._targets = targets
        self._assigned = assigned
        self._upstream = upstream
        self._telemetry = telemetry
        self._clock, self._wall = clock, wall
        self._sources: dict[int, Source] = {}
        self._told: dict[int, tuple[float, Progress]] = {}
        self._looked = float("-inf")
        self._warn_at = clock() + HELD_SECONDS
        self._certainty = Certainty(lateness_ms, clock())

    def __call__(self, records: Sequence[Record]) -> list[Outgoing]:
        """Answer a batch with its rollups, dead letters, and the progress behind it."""
        self._own()
        batches: dict[int, list[Record]] = {}
        for record in records:
            batches.setdefault(record.partition, []).append(record)
        answers: list[Outgoing] = []
        for partition, batch in batches.items():
            answers += self._rollups(partition, batch)
        self._look()
        return answers + self._progress()

    def pause(self) -> list[Outgoing]:
        """The progress of partitions, where it is new or was not told for a while."""
        self._own()
        self._look()
        return self._progress()

    def held(self) -> float:
        """For how long (seconds) alerts have waited for posts that a stage has not handled."""
        return self._certainty.held(self._clock())[0]

    def current(self) -> tuple[bool, str]:
        """Whether alerts come in time, and if not, what they wait for."""
        seconds, stage = self._certainty.held(self._clock())
        if seconds < HELD_SECONDS:
            return True, "ok"
        return False, f"alerts wait for posts that {stage} has not handled for {seconds:.0f} s"

    def _rollups(self, partition: int, batch: Sequence[Record]) -> list[Outgoing]:
        arrived: list[Arrived] = []
        received: list[int] = []
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
                received.append(header_int(record.headers, RECEIVED) or record.timestamp)
        rollups, newest = roll_up(partition, batch[0].offset, batch[-1].offset, arrived)
        source = self._sources.get(partition)
        if source is not None and newest:
            old = sum(
                at - epoch_ms(each.event.created_at) > self._lateness_ms
                for each, at in zip(arrived, received, strict=True)
            )
            source.saw(newest, self._clock(), max(received) - newest)
            self._certainty.saw(len(arrived), old, self._sources.values(), self._clock())
        self._telemetry.count("ok", len(arrived))
        return [_rollup(rollup, batch[0].headers) for rollup in rollups] + letters

    def _own(self) -> None:
        """Forget partitions that are another's now, and begin with new ones."""
        assigned = self._assigned()
        now = self._clock()
        if self._sources.keys() != set(assigned):
            self._certainty.forget()
            self._looked = float("-inf")
        for partition in self._sources.keys() - set(assigned):
            del self._sources[partition]
            self._told.pop(partition, None)
        for partition in assigned:
            if partition not in self._sources:
                self._sources[partition] = Source(partition, self._idle_seconds, now)

    def _look(self) -> None:
        if self._clock() - self._looked < LOOK_SECONDS:
            return
        look = self._upstream()
        self._looked = self._clock()
        if look is None:
            # A look may have taken its time to fail.
            self._looked += RETRY_SECONDS
        else:
            ends = look.stages[-1].ends
            ours = {place: end for place, end in ends.items() if place.partition in self._sources}
            last = look.stages[-1]._replace(ends=ours)
            look = look._replace(stages=(*look.stages[:-1], last))
        self._certainty.look(look, self._sources.values())
        well, why = self.current()
        if not well and self._looked >= self._warn_at:
            log.warning("%s", why)
            self._warn_at = self._looked + HELD_SECONDS

    def _progress(self) -> list[Outgoing]:
        """Told to every partition of `rollups`, since any of them may hold a track."""
        now, wall = self._clock(), self._wall()
        answers: list[Outgoing] = []
        for partition, source in self._sources.items():
            waiting = not self._certainty.counted(max(source.busy_at, now - 2 * LOOK_SECONDS), now)
            sure = self._certainty.sure(source, self._sources.values(), now, wall)
            progress = source.progress(now, waiting, sure, int(wall * 1000))
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
    return all(
        (one or 0) // 60_000 == (other or 0) // 60_000
        for one, other in ((told.newest, now.newest), (told.sure, now.sure))
    ) and (told.idle, told.sure is None) == (now.idle, now.sure is None)


def _rollup(rollup: Rollup, parent: Headers) -> Outgoing:
    name = f"{rollup.partition}:{rollup.last}:{rollup.track}"
    key = rollup.track.encode()
    return Outgoing(ROLLUPS, key, encoder.encode(rollup), _headers("rollup", name, parent))


def _headers(kind: str, name: str, parent: Headers) -> Headers:
    return cloud_event(f"weathervane.{kind}", "/weathervane/monitor", name, parent)
