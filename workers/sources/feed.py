"""The loop of a source: connect, send what comes to Kafka, and connect again after a failure.

A source keeps no state of its own. Where it can go on from a place, that place is in the last
records of its raw topic; it begins a little before, and what comes twice is counted once.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import AsyncGenerator, Awaitable
from contextlib import aclosing, closing
from typing import Any, Protocol

import aiohttp
from kafka.errors import KafkaError

from pipeline.clients import producer
from pipeline.errors import ServerUnavailable, Unreadable, WeathervaneError
from pipeline.platforms import DECODERS
from pipeline.settings import Settings
from pipeline.topics import MAX_RECORD_BYTES, RAW_PREFIX

REPORT_SECONDS = 10.0
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0
_FINAL = {400, 401, 403, 404, 410, 422}
"""Answers that another attempt would get again."""
_ROOM = 1000
"""Bytes that Kafka adds to a record and its batch, at most."""


class Source(Protocol):
    """One stream of a platform."""

    platform: str
    address: str

    def records(self, session: aiohttp.ClientSession) -> AsyncGenerator[bytes]:
        """Connect, and give the records that come until the connection ends."""
        ...


def run(settings: Settings, source: Source, limit: int | None = None) -> int:
    """Send what the source publishes until SIGTERM, or so many records; how many were sent.

    Raises:
        ServerUnavailable: Kafka does not take records.
        WeathervaneError: the source refuses us for good.
    """
    return asyncio.run(_run(settings, source, limit))


async def _run(settings: Settings, source: Source, limit: int | None) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, stop.set)
    with closing(producer(settings)) as sink:
        feed = _Feed(source, sink, limit, stop)
        async with aiohttp.ClientSession(trust_env=True) as session:
            await feed.follow(session)
        try:
            sink.flush(timeout=30)
        except KafkaError as error:
            raise ServerUnavailable(f"Kafka did not take the last records: {error!r}") from error
        feed.check()
    feed.say()
    return feed.sent


class _Feed:
    def __init__(self, source: Source, sink: Any, limit: int | None, stop: asyncio.Event) -> None:
        self._source, self._sink = source, sink
        self._limit, self._stop = limit, stop
        self._topic = f"{RAW_PREFIX}{source.platform}"
        self._failures: list[BaseException] = []
        self._said = time.monotonic()
        self.sent = 0

    async def follow(self, session: aiohttp.ClientSession) -> None:
        """Connect again and again, after longer and longer pauses while nothing comes."""
        pause = _FIRST_PAUSE
        while not self._stop.is_set():
            before = self.sent
            said = await _first(self._connection(session), self._stop.wait())
            if self._stop.is_set():
                return
            if self.sent > before:
                pause = _FIRST_PAUSE
            _tell(f"{self._source.address}: {said}; once more in {pause:.0f} s")
            await _first(self._stop.wait(), asyncio.sleep(pause))
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _connection(self, session: aiohttp.ClientSession) -> str:
        """Send what one connection brings; why it ended."""
        try:
            async with aclosing(self._source.records(session)) as records:
                async for value in records:
                    self._send(value)
                    if self._stop.is_set():
                        break
        except aiohttp.ClientResponseError as error:
            if error.status in _FINAL:
                raise WeathervaneError(
                    f"{self._source.address} answers {error.status} {error.message}"
                ) from error
            return f"it answers {error.status}"
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as error:
            raise WeathervaneError(f"{self._source.address} is no address") from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return str(error) or type(error).__name__
        return "the stream has ended"

    def _send(self, value: bytes) -> None:
        self.check()
        try:
            post = DECODERS[self._source.platform](value)
        except Unreadable:
            # Ingest makes a dead letter of it.
            key = None
        else:
            if post is None:
                return
            key = post.id.encode()
        if len(value) > MAX_RECORD_BYTES - _ROOM:
            _tell(f"left out: a record of {len(value):,} bytes; {self._topic} takes fewer")
            return
        try:
            self._sink.send(self._topic, key=key, value=value).add_errback(self._failures.append)
        except KafkaError as error:
            raise ServerUnavailable(f"Kafka does not take records: {error!r}") from error
        self.sent += 1
        if self.sent == self._limit:
            self._stop.set()
        if time.monotonic() - self._said >= REPORT_SECONDS:
            self.say()

    def check(self) -> None:
        """Raise where Kafka has refused a record: what is read on would be lost."""
        if self._failures:
            raise ServerUnavailable(f"Kafka does not take records: {self._failures[0]!r}")

    def say(self) -> None:
        """How much was sent so far."""
        self._said = time.monotonic()
        _tell(f"sent {self.sent:,} records to {self._topic}")


async def _first(*waits: Awaitable[Any]) -> Any:
    """What the first of them gives; the others are cancelled."""
    tasks = [asyncio.ensure_future(each) for each in waits]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    ended = next(task for task in tasks if task.done())
    others = [task for task in tasks if task is not ended]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    return ended.result()


def _tell(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)
