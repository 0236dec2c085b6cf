"""Live updates: one broadcaster reads the store for all clients of the page.

Guarantee: after any prefix of a stream the client holds, for each bucket that it was sent, a value
that the store had at or after the time of the event's id; and it catches up within one tick of
the last change. Values are absolute, so an event applied twice changes nothing.
Not guaranteed: that every intermediate value is sent. Changes are merged at a fixed rate, and a
client too slow for that rate gets a snapshot instead of what it missed.

Step 1  A client joins with a snapshot, or, where the store still has the changes since its
        `Last-Event-ID`, with one delta of them.
Step 2  Each tick reads the changes since the last one, groups them by track and step, and puts
        one encoded delta into the queue of each client of the group.
        Alerts that changed go to those who look at their track, or at all of them. They carry
        no id: a client that was away reads them at /api/v1/alerts when its snapshot comes.
Step 3  A client whose queue is full loses the queue, and gets a snapshot when it reads again.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Iterable
from dataclasses import dataclass, field

import msgspec
from redis.exceptions import RedisError
from sse_starlette import ServerSentEvent
from starlette.concurrency import run_in_threadpool

from pipeline.alerts.board import AlertBoard
from pipeline.background import Rounds
from pipeline.store import CursorTrimmed
from pipeline.tracks import ALL
from workers.api.metrics import Metrics
from workers.api.query import MAX_BUCKETS
from workers.api.views import Views

QUEUE_EVENTS = 8
"""Events that wait for one client; at one a second, its grace in seconds."""
IDLE_TICKS = 2
"""A client without changes hears of lag and freshness each so many ticks."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Subscription:
    """What one client looks at; `step` and `span` in seconds of event time."""

    track: str
    step: int
    span: int


@dataclass(eq=False, slots=True)
class _Client:
    wants: Subscription
    queue: asyncio.Queue[ServerSentEvent | None] = field(
        default_factory=lambda: asyncio.Queue(QUEUE_EVENTS)
    )
    """None asks for a snapshot."""

    def offer(self, event: ServerSentEvent | None) -> bool:
        """Queue the event; False if what waited had to be dropped for a snapshot."""
        if event is not None and not self.queue.full():
            self.queue.put_nowait(event)
            return True
        while not self.queue.empty():
            self.queue.get_nowait()
        self.queue.put_nowait(None)
        return False


class Broadcaster:
    """Reads the store once a tick, whatever the number of clients.

    Args:
        tick: seconds between two reads.
        board: the alerts.
    """

    def __init__(
        self, views: Views, metrics: Metrics, tick: float = 1.0, board: AlertBoard | None = None
    ) -> None:
        self._views = views
        self._board = board or AlertBoard()
        self._board_version = 0
        self._metrics = metrics
        self._tick = tick
        self._clients: set[_Client] = set()
        self._cursor: str | None = None
        self._ticks = 0
        self._someone = asyncio.Event()
        self._reading = asyncio.Lock()
        """Joins and ticks take turns, so that a client's events are in the order of reading."""

    @property
    def clients(self) -> int:
        """Number of open streams."""
        return len(self._clients)

    async def run(self) -> None:
        """Tick for as long as the task lives; sleep while nobody listens."""
        rounds = Rounds("telling the streams")
        while True:
            await self._someone.wait()
            with rounds.round():
                async with self._reading:
                    self._tell_alerts()
                    await self._guarded_tick()
            await asyncio.sleep(self._tick)

    async def events(
        self, wants: Subscription, last_id: str | None
    ) -> AsyncIterator[ServerSentEvent]:
        """The events of one client, until it goes or the store fails while it joins."""
        client = _Client(wants)
        try:
            yield await self._join(client, last_id)
            while True:
                event = await client.queue.get()
                yield event if event is not None else await self._join(client, None)
        except RedisError as error:
            log.warning("a stream ends, since the store does not answer: %s", error)
        finally:
            self._clients.discard(client)
            self._metrics.clients.set(self.clients)
            if not self._clients:
                self._someone.clear()
                self._cursor = None

    async def _join(self, client: _Client, last_id: str | None) -> ServerSentEvent:
        async with self._reading:
            event = await self._catch_up(client.wants, last_id) if last_id else None
            if event is None:
                event = await self._snapshot(client.wants)
            if self._cursor is None:
                self._cursor = event.id
            if not self._clients:
                _, self._board_version = self._board.changes(self._board_version)
            self._clients.add(client)
            self._someone.set()
            self._metrics.clients.set(self.clients)
            return event

    async def _snapshot(self, wants: Subscription) -> ServerSentEvent:
        """The cursor is read before the values: what changes meanwhile comes again as a delta."""
        _, cursor = await run_in_threadpool(self._views.changes, "")
        view = await run_in_threadpool(self._views.snapshot, wants.track, wants.step, wants.span)
        return self._event("snapshot", view, cursor)

    async def _catch_up(self, wants: Subscription, last_id: str) -> ServerSentEvent | None:
        try:
            changed, cursor = await run_in_threadpool(self._views.changes, last_id)
        except CursorTrimmed:
            return None
        starts = {
            start // wants.step * wants.step for track, start in changed if track == wants.track
        }
        if len(starts) > MAX_BUCKETS:
            return None
        return await self._delta(wants.track, wants.step, starts, cursor)

    def _tell_alerts(self) -> None:
        changed, self._board_version = self._board.changes(self._board_version)
        for alert in changed:
            event = self._event("alert", alert, None)
            self._send([c for c in self._clients if c.wants.track in {ALL, alert.track}], event)

    async def _guarded_tick(self) -> None:
        try:
            await self._broadcast()
        except CursorTrimmed:
            self._start_over()
        except RedisError as error:
            log.warning("the store does not answer: %s", error)
            self._cursor = None
            reason = {"error": "The store does not answer."}
            self._send(self._clients, self._event("unavailable", reason, None))

    async def _broadcast(self) -> None:
        was = self._cursor
        changed, cursor = await run_in_threadpool(self._views.changes, was or "")
        if was is None or (not was and cursor):
            self._start_over()
            return
        self._cursor = cursor
        starts: dict[str, set[int]] = defaultdict(set)
        for track, start in changed:
            starts[track].add(start)
        groups: dict[tuple[str, int], list[_Client]] = defaultdict(list)
        for client in self._clients:
            groups[client.wants.track, client.wants.step].append(client)
        self._ticks += 1
        for (track, step), members in groups.items():
            coarse = {start // step * step for start in starts[track]}
            if len(coarse) > MAX_BUCKETS:
                self._send(members, None)
            elif coarse or self._ticks % IDLE_TICKS == 0:
                self._send(members, await self._delta(track, step, coarse, cursor))

    def _start_over(self) -> None:
        """Everyone gets a snapshot: the changes since the last tick are not known.

        So it is after a failure, where the store trimmed them, and when an empty store (whose
        cursor is empty) has got its first post.
        """
        self._cursor = None
        self._send(self._clients, None)

    async def _delta(
        self, track: str, step: int, starts: Collection[int], cursor: str
    ) -> ServerSentEvent:
        view = await run_in_threadpool(self._views.delta, track, step, sorted(starts))
        return self._event("delta", view, cursor)

    def _send(self, clients: Iterable[_Client], event: ServerSentEvent | None) -> None:
        overrun = sum(not client.offer(event) for client in clients)
        if event is not None:
            self._metrics.overruns.inc(overrun)

    def _event(self, name: str, view: object, cursor: str | None) -> ServerSentEvent:
        self._metrics.events.labels(name).inc()
        data = msgspec.json.encode(view).decode()
        return ServerSentEvent(data, event=name, id=cursor, retry=2000, sep="\n")
