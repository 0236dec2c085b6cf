"""What the server keeps asking for beside its requests: whether the store answers, and the lag.

Requests look at the last answers and never wait for a server that is known to hang.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import anyio.to_thread
from anyio import CapacityLimiter
from kafka.errors import KafkaError
from redis.exceptions import RedisError

from pipeline.background import Rounds
from pipeline.lag import Lag
from workers.api.views import Views

STORE_SECONDS = 1.2
"""Longest wait of a request for one answer of the store. One that waited in the queue for a
thread waits twice as long at most, since then the store is known to hang."""
STORE_LOOK_SECONDS = 0.5
LAG_SECONDS = 2.0


async def watch_store(views: Views) -> None:
    """Read a little of the store again and again, and note whether it answered."""
    # A thread of its own: those of the requests may all be waiting for the store.
    await _again("reading the store", views.look, STORE_LOOK_SECONDS, RedisError)


async def watch_lag(views: Views, lag: Lag) -> None:
    """Read the lag of the stages now and then, apart from the ticks: it can take long."""

    def read() -> None:
        views.told_lag(lag.read())

    await _again("reading the lag", read, LAG_SECONDS, KafkaError)


async def _again(
    doing: str, work: Callable[[], None], pause: float, *expected: type[Exception]
) -> None:
    rounds, thread = Rounds(doing, *expected), CapacityLimiter(1)
    while True:
        with rounds.round():
            await anyio.to_thread.run_sync(work, limiter=thread, abandon_on_cancel=True)
        await asyncio.sleep(pause)
