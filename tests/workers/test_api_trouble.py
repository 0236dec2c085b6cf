"""The API while Redis or Kafka hangs, loads, refuses or is gone: said at once, over by itself."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from pipeline.lag import Lag, LagOfGroup, LagReading
from pipeline.posts_reader import PostReader
from pipeline.settings import Settings
from pipeline.store import Store
from tests.waiting import until
from tests.workers.own_redis import OwnRedis, free_port, own_redis
from tests.workers.site import Site, Written, serve
from workers.api import watch
from workers.api.views import LAG_KEPT_SECONDS, Views

pytestmark = pytest.mark.servers

ROUTES = (
    "/readyz",
    "/api/v1/tracks",
    "/api/v1/totals",
    "/api/v1/series",
    "/api/v1/posts",
    "/api/v1/freshness",
    "/api/v1/stream",
)
ANSWER_SECONDS = 3.0


@pytest.fixture
def store_server(tmp_path: Path) -> Iterator[OwnRedis]:
    with own_redis(tmp_path / "redis") as server:
        yield server


@contextmanager
def page(site_settings: Settings, url: str) -> Iterator[Site]:
    with serve(site_settings.model_copy(update={"redis": url}), "trouble") as site:
        yield site


CLIENT = httpx.Client(timeout=30, limits=httpx.Limits(max_connections=100))
"""One for all: to make a client costs more than what is measured."""


def ask(site: Site, path: str) -> tuple[int, float, str]:
    """Status, seconds until the answer begins, and the sentence of a refusal."""
    began = time.monotonic()
    with CLIENT.stream("GET", site.address + path) as response:
        seconds = time.monotonic() - began
        if response.status_code == 200:
            return 200, seconds, ""
        response.read()
        return response.status_code, seconds, str(response.json()["error"])


def is_refused_in_time(site: Site) -> None:
    """Many at once: more than the server has threads."""
    with ThreadPoolExecutor(60) as pool:
        answers = list(pool.map(lambda at: ask(site, ROUTES[at % len(ROUTES)]), range(60)))
    for path in ROUTES:
        answers.append(ask(site, path))
    assert {status for status, _, _ in answers} == {503}
    assert max(seconds for _, seconds, _ in answers) < ANSWER_SECONDS
    assert all(said.startswith("The store does not answer") for _, _, said in answers)
    assert httpx.get(f"{site.address}/healthz", timeout=3).status_code == 200
    refusal = httpx.get(f"{site.address}/api/v1/totals", timeout=3).json()
    assert refusal["code"] == "store"


def is_well(site: Site, posts: int) -> bool:
    if any(ask(site, path)[0] != 200 for path in ROUTES):
        return False
    totals = httpx.get(f"{site.address}/api/v1/totals", timeout=10).json()
    return bool(totals["all"]["posts"] == posts)


def test_a_store_that_hangs(site_settings: Settings, store_server: OwnRedis) -> None:
    with page(site_settings, store_server.url) as site:
        site.add([Written("h:1"), Written("h:2")])
        assert is_well(site, 2)
        store_server.signal(signal.SIGSTOP)
        try:
            is_refused_in_time(site)
        finally:
            store_server.signal(signal.SIGCONT)
        until(lambda: is_well(site, 2), "it is well again", 5)


def test_a_store_that_is_gone_and_comes_back(
    site_settings: Settings, store_server: OwnRedis
) -> None:
    with page(site_settings, store_server.url) as site:
        site.add([Written("g:1")])
        store_server.signal(signal.SIGTERM)
        assert store_server.process is not None
        store_server.process.wait(10)
        is_refused_in_time(site)
        store_server.start()
        until(lambda: is_well(site, 1), "it is well again", 5)


def test_a_socket_that_takes_connections_and_says_nothing(site_settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=200) as silent:
        port = silent.getsockname()[1]
        with page_of(site_settings, port) as site:
            is_refused_in_time(site)


def test_a_store_that_loads_its_data(site_settings: Settings) -> None:
    """A server that answers everything, PING as well, with -LOADING."""
    port = free_port()
    loading = b"-LOADING Redis is loading the dataset in memory\r\n"
    with answering(port, loading), page_of(site_settings, port) as site:
        is_refused_in_time(site)


def test_a_store_that_does_not_let_one_read(
    site_settings: Settings, store_server: OwnRedis
) -> None:
    """It answers PING; so a ping is no sign that the page can be served."""
    with page(site_settings, store_server.url) as site:
        site.add([Written("n:1")])
        admin = store_server.client()
        admin.execute_command("ACL SETUSER default -@read")
        until(lambda: ask(site, "/readyz")[0] == 503, "it is not ready")
        is_refused_in_time(site)
        admin.execute_command("ACL SETUSER default +@read")
        until(lambda: is_well(site, 1), "it is well again", 5)


@pytest.mark.parametrize("setting", [("maxmemory", "1"), ("replicaof", "127.0.0.1 1")])
def test_a_store_that_takes_no_writes_is_still_read(
    site_settings: Settings, store_server: OwnRedis, setting: tuple[str, str]
) -> None:
    with page(site_settings, store_server.url) as site:
        site.add([Written("w:1")])
        if setting[0] == "replicaof":
            store_server.client().replicaof(*setting[1].split())
        else:
            store_server.client().config_set(*setting)
        assert is_well(site, 1)


@contextmanager
def page_of(site_settings: Settings, port: int) -> Iterator[Site]:
    """A page over a port, whatever stands there."""
    with page(site_settings, f"redis://127.0.0.1:{port}/0") as site:
        yield site


@contextmanager
def answering(port: int, line: bytes) -> Iterator[None]:
    """A server that gives one answer to every command."""
    import socketserver
    import threading

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while head := self.rfile.readline():
                for _ in range(int(head[1:])):
                    self.rfile.read(int(self.rfile.readline()[1:]) + 2)
                self.wfile.write(line)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True

    with Server(("127.0.0.1", port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join(10)


class _NoPosts(PostReader):
    def __init__(self) -> None:
        """Without a consumer."""


def test_the_lag_is_unknown_where_it_was_not_read_for_a_while() -> None:
    now = 100.0
    views = Views(Store.connect("redis://127.0.0.1:1/0"), _NoPosts(), lambda: now)
    assert views.lag is None
    views.told_lag(LagReading({"infer": LagOfGroup(3)}, {0: 7}))
    now += LAG_KEPT_SECONDS
    assert views.lag == {"infer": LagOfGroup(3)}
    now += 0.1
    assert views.lag is None


class _Fails(Lag):
    """What kafka-python raised while a group first committed, and what else it may think of."""

    def __init__(self) -> None:
        self.left: list[Exception] = [KeyError("posts-0"), ValueError("no"), RuntimeError("stop")]

    def read(self) -> LagReading:
        """Fail as often as there are errors left."""
        if self.left:
            raise self.left.pop()
        return LagReading({"infer": LagOfGroup(3)}, {0: 7})


def test_the_lag_is_read_on_whatever_was_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "LAG_SECONDS", 0.01)
    views = Views(Store.connect("redis://127.0.0.1:1/0"), _NoPosts())

    async def scenario() -> None:
        task = asyncio.create_task(watch.watch_lag(views, _Fails()))
        await asyncio.to_thread(until, lambda: views.lag is not None, "the lag is known")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(scenario())
    assert views.lag == {"infer": LagOfGroup(3)}


def test_every_stage_is_in_the_metrics(site: Site) -> None:
    def told() -> dict[str, str]:
        text = httpx.get(f"{site.address}/metrics").text
        return dict(re.findall(r'weathervane_waiting_records\{stage="(\w+)"\} (\S+)', text))

    assert set(told()) == {"ingest", "infer", "aggregate", "monitor"}


def test_what_is_current_is_told(site: Site) -> None:
    site.add([Written("c:1", minute=5)])
    until(
        lambda: httpx.get(f"{site.address}/api/v1/freshness").json()["lag"] is not None,
        "the lag is read",
        30,
    )
    told = httpx.get(f"{site.address}/api/v1/freshness").json()
    assert told["freshness"]["events"] == 1
    assert not told["stale"]
    assert isinstance(told["behind"], int)
