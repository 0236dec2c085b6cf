"""Bluesky's Jetstream (github.com/bluesky-social/jetstream, wire version 1), posts alone.

It goes on from the newest event in `posts.raw.bluesky`, less a few seconds: a cursor may be served
by another machine, whose order is a little different. An older cursor than Jetstream keeps begins
with what it has.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import closing, suppress

import aiohttp
import msgspec

from pipeline.clients import consumer
from pipeline.errors import UNDECODABLE
from pipeline.platforms.bluesky import POST
from pipeline.reading import partitions_of, until_ends
from pipeline.settings import Settings
from pipeline.topics import MAX_RECORD_BYTES, RAW_PREFIX

ADDRESS = "wss://jetstream2.us-east.bsky.network/subscribe"
REWIND_US = 5_000_000
_PING_SECONDS = 30.0
_GOODBYE_SECONDS = 3.0
_MESSAGE_BYTES = 8 * MAX_RECORD_BYTES
"""A larger message ends the connection; one that is only too large for the topic is left out."""
_LAST_RECORDS = 20
"""Of each partition that are looked at: the newest ones may have no time."""


class _Timed(msgspec.Struct):
    time_us: int


_timed = msgspec.json.Decoder(_Timed)


class Jetstream:
    """A subscription to every new, edited and deleted post.

    Args:
        cursor: epoch microseconds to begin at; None for now.
    """

    platform = "bluesky"

    def __init__(self, address: str = ADDRESS, cursor: int | None = None) -> None:
        self.address = address
        self._cursor = cursor

    async def records(self, session: aiohttp.ClientSession) -> AsyncGenerator[bytes]:
        """Connect where the last connection ended."""
        parameters = {"wantedCollections": POST}
        if self._cursor is not None:
            parameters["cursor"] = str(self._cursor - REWIND_US)
        socket = await session.ws_connect(
            self.address, params=parameters, heartbeat=_PING_SECONDS, max_msg_size=_MESSAGE_BYTES
        )
        try:
            async for message in socket:
                if message.type is aiohttp.WSMsgType.TEXT:
                    value = message.data.encode()
                    yield value
                    at = time_of(value)
                    if at is not None:
                        self._cursor = max(self._cursor or 0, at)
        finally:
            # aiohttp reads on until the other side says goodbye, for as long as anything comes.
            with suppress(TimeoutError):
                async with asyncio.timeout(_GOODBYE_SECONDS):
                    await socket.close()


def newest(settings: Settings) -> int | None:
    """Epoch microseconds of the newest event in the raw topic; None where there is none.

    Raises:
        ServerUnavailable: Kafka does not answer, or the topic is missing.
    """
    with closing(consumer(settings, None)) as source:
        places = partitions_of(source, f"{RAW_PREFIX}bluesky")
        source.assign(places)
        begins, ends = source.beginning_offsets(places), source.end_offsets(places)
        for place in places:
            source.seek(place, max(begins[place], ends[place] - _LAST_RECORDS))
        times = [
            at
            for batch in until_ends(source, ends)
            for record in batch
            if (at := time_of(record.value or b"")) is not None
        ]
    return max(times, default=None)


def time_of(value: bytes) -> int | None:
    """Epoch microseconds at which Jetstream saw an event; None where it does not say."""
    try:
        return _timed.decode(value).time_us
    except UNDECODABLE:
        return None
