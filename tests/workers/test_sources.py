"""Sources against servers of this machine: nothing is lost where a connection ends."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, closing
from typing import Any

import pytest
from aiohttp import ClientSession, WSCloseCode, web

from pipeline.clients import consumer
from pipeline.errors import WeathervaneError
from pipeline.platforms.bluesky import POST
from pipeline.reading import partitions_of, until_ends
from pipeline.settings import Settings, load_settings
from pipeline.topics import RAW_PREFIX, create_topics
from workers.sources import feed
from workers.sources.jetstream import REWIND_US, Jetstream, newest
from workers.sources.mastodon import Mastodon, events_of

pytestmark = [pytest.mark.servers, pytest.mark.timeout(240)]
Handler = Callable[[web.Request], Any]
START_US = 1_772_366_400_000_000


@pytest.fixture
def settings(kafka: str) -> Settings:
    settings = load_settings(kafka=kafka, name="source-test")
    create_topics(settings)
    return settings


class Server:
    """A web server of one handler in a thread of its own."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self.address = ""
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._started.wait(30)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)

    def _run(self) -> None:
        app = web.Application()
        app.router.add_get("/{path:.*}", self._handler)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        self._loop.run_until_complete(runner.setup())
        site = web.TCPSite(runner, "127.0.0.1", 0)
        self._loop.run_until_complete(site.start())
        host, port = runner.addresses[0][:2]
        self.address = f"{host}:{port}"
        self._started.set()
        self._loop.run_forever()
        self._loop.run_until_complete(runner.cleanup())


@pytest.fixture
def serve() -> Iterator[Callable[[Handler], str]]:
    servers: list[Server] = []

    def start(handler: Handler) -> str:
        servers.append(Server(handler))
        return servers[-1].address

    yield start
    for server in servers:
        server.close()


def raw(settings: Settings, platform: str) -> list[Any]:
    """All records of the raw topic, in the order of their arrival."""
    with closing(consumer(settings, None)) as source:
        places = partitions_of(source, f"{RAW_PREFIX}{platform}")
        source.assign(places)
        source.seek_to_beginning(*places)
        found = [r for batch in until_ends(source, source.end_offsets(places)) for r in batch]
    return sorted(found, key=lambda record: record.timestamp)


def commit(number: int, run: str) -> str:
    record = {"$type": POST, "text": f"post {number}", "createdAt": "2026-03-01T12:00:00Z"}
    about = {"operation": "create", "collection": POST, "rkey": f"{run}{number}", "record": record}
    at = START_US + number * 1_000_000
    return json.dumps({"did": "did:plc:a", "time_us": at, "kind": "commit", "commit": about})


def test_a_connection_that_ends_is_made_again_from_where_it_was(
    settings: Settings, serve: Callable[[Handler], str]
) -> None:
    asked: list[dict[str, str]] = []

    async def handler(request: web.Request) -> web.WebSocketResponse:
        asked.append(dict(request.query))
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        first = 3 * (len(asked) - 1)
        await socket.send_str('{"did": "did:plc:a", "time_us": 5, "kind": "identity"}')
        for number in range(first, first + 3):
            await socket.send_str(commit(number, "end"))
        await socket.send_str("{")
        await socket.close(code=WSCloseCode.GOING_AWAY)
        return socket

    before = len(raw(settings, "bluesky"))
    address = f"ws://{serve(handler)}/subscribe"
    assert feed.run(settings, Jetstream(address), limit=7) == 7
    cursor = str(START_US + 2 * 1_000_000 - REWIND_US)
    assert asked == [{"wantedCollections": POST}, {"wantedCollections": POST, "cursor": cursor}]
    records = raw(settings, "bluesky")[before:]
    keys = [f"bluesky:at://did:plc:a/{POST}/end{number}".encode() for number in range(6)]
    assert sorted(r.key for r in records if r.key) == keys
    assert [r.value for r in records if r.key is None] == [b"{"], "for ingest to refuse"
    assert newest(settings) == START_US + 5 * 1_000_000


def test_a_stream_that_does_not_say_goodbye_is_left(serve: Callable[[Handler], str]) -> None:
    async def handler(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        # It never reads what we say.
        for number in itertools.count():
            await socket.send_str(commit(number, "on"))
            await asyncio.sleep(0.1)
        return socket

    async def take(address: str) -> list[bytes]:
        async with (
            ClientSession() as session,
            asyncio.timeout(30),
            aclosing(Jetstream(address).records(session)) as records,
        ):
            return [await anext(records) for _ in range(5)]

    assert len(asyncio.run(take(f"ws://{serve(handler)}/"))) == 5


def test_what_refuses_us_for_good_ends_the_source_with_a_sentence(
    settings: Settings, serve: Callable[[Handler], str]
) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(status=401)

    address = serve(handler)
    for source in (Jetstream(f"ws://{address}/"), Mastodon(f"http://{address}")):
        with pytest.raises(WeathervaneError, match=f"{address}.* answers 401"):
            feed.run(settings, source)
    with pytest.raises(WeathervaneError, match="is no address"):
        feed.run(settings, Mastodon("ftp://example.invalid"))


def test_a_timeline_is_read_with_its_edits_and_deletions(
    settings: Settings, serve: Callable[[Handler], str]
) -> None:
    asked: list[tuple[str, str | None]] = []
    status = {"id": "71", "created_at": "2026-03-01T12:00:00Z", "content": "<p>hm</p>"}

    async def handler(request: web.Request) -> web.StreamResponse:
        asked.append((request.path, request.headers.get("Authorization")))
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(request)
        if len(asked) == 1:
            return answer
        body = (
            f":thump\n\nevent: update\ndata: {json.dumps(status)}\n\n"
            f"event: notification\ndata: {{}}\n\nevent: update\ndata: {json.dumps(LARGE)}\n\n"
            "event: delete\ndata: 71\n\n"
        )
        await answer.write(body.encode())
        return answer

    before = len(raw(settings, "mastodon"))
    server = f"http://{serve(handler)}/"
    assert feed.run(settings, Mastodon(server, "word", local=True), limit=3) == 3
    assert asked == [("/api/v1/streaming/public/local", "Bearer word")] * 2
    records = raw(settings, "mastodon")[before:]
    assert [r.key for r in records if r.key == b"mastodon:71"] == [b"mastodon:71"] * 2
    told = [json.loads(r.value) for r in records if r.key == b"mastodon:71"]
    assert [(each["event"], each["payload"]) for each in told] == [
        ("update", json.dumps(status)),
        ("delete", "71"),
    ]
    assert len(records) == 3


LARGE = {
    "id": "72",
    "created_at": "2026-03-01T12:00:00Z",
    "content": f"<p>{'long ' * 60_000}</p>",
}


async def _lines(text: str) -> AsyncIterator[bytes]:
    for line in text.splitlines(keepends=True):
        yield line.encode()


def test_server_sent_events_are_read_as_their_standard_says() -> None:
    async def read(text: str) -> list[tuple[str, str]]:
        return [event async for event in events_of(_lines(text))]

    text = ":thump\n\nevent:update\r\ndata: a\ndata:b\n\nevent: lost\n\ndata: alone\n\ndata: open"
    assert asyncio.run(read(text)) == [("update", "a\nb"), ("", "alone")]
