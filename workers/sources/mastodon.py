"""The public timeline of a Mastodon server, as server-sent events (docs.joinmastodon.org).

The stream has no place to go on from: what is published while nobody is connected does not come.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable

import aiohttp
import msgspec

from pipeline.topics import MAX_RECORD_BYTES

_PATH = "/api/v1/streaming/public"
_SILENT_SECONDS = 60.0
"""The server says something every 15 s or so."""


class Mastodon:
    """A subscription to the public timeline of one server.

    Args:
        server: such as https://mastodon.social.
        token: of an application; most servers ask for one.
        local: leave out what comes from other servers.
    """

    platform = "mastodon"

    def __init__(self, server: str, token: str | None = None, local: bool = False) -> None:
        address = server if "://" in server else f"https://{server}"
        self.address = address.rstrip("/") + _PATH + ("/local" if local else "")
        self._headers = {"Accept": "text/event-stream"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"

    async def records(self, session: aiohttp.ClientSession) -> AsyncGenerator[bytes]:
        """Connect, and give each event with its payload."""
        async with session.get(
            self.address,
            headers=self._headers,
            timeout=aiohttp.ClientTimeout(total=None, sock_read=_SILENT_SECONDS),
            read_bufsize=MAX_RECORD_BYTES,
            raise_for_status=True,
        ) as answer:
            try:
                async for event, payload in events_of(answer.content):
                    yield msgspec.json.encode({"event": event, "payload": payload})
            except ValueError as error:
                # What aiohttp raises at a line that is longer than its buffer.
                raise aiohttp.ClientPayloadError(f"a line that is too long: {error}") from error


async def events_of(lines: AsyncIterable[bytes]) -> AsyncGenerator[tuple[str, str]]:
    """Name and data of server-sent events (html.spec.whatwg.org, 9.2)."""
    event = ""
    data: list[str] = []
    async for raw in lines:
        line = raw.decode("utf-8", "replace").rstrip("\r\n")
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if data:
                yield event, "\n".join(data)
            event, data = "", []
        elif name == "event":
            event = value
        elif name == "data":
            data.append(value)
