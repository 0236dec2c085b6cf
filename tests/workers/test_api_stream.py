"""The event stream: snapshot, absolute deltas, resuming, slow clients, a store that goes away."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipeline.post import IngestedPost
from pipeline.posts_reader import Place, PostReader
from pipeline.settings import Settings
from tests.waiting import until
from tests.workers.site import DAY, Site, Written, serve
from workers.api.metrics import Metrics
from workers.api.stream import QUEUE_EVENTS, Broadcaster, Subscription
from workers.api.views import Views
from workers.local import redis as local_redis

pytestmark = pytest.mark.servers

MIDNIGHT = int(DAY.timestamp())


@dataclass
class Event:
    name: str
    id: str
    data: dict[str, Any]


class Client:
    """A minimal reader of text/event-stream."""

    def __init__(self, response: httpx.Response) -> None:
        self._lines = response.iter_lines()

    def next(self, *names: str) -> Event:
        """The next event of one of these names."""
        fields: dict[str, str] = {}
        for line in self._lines:
            name, _, value = line.partition(": ")
            if name and value:
                fields[name] = value
            elif not line and "data" in fields:
                event = Event(fields["event"], fields.get("id", ""), json.loads(fields["data"]))
                if event.name in names:
                    return event
                fields = {}
        raise AssertionError("the stream ended")

    def until(self, posts: int) -> tuple[dict[int, dict[str, Any]], Event]:
        """Apply deltas until the totals hold so many posts; buckets by start, and the last one.

        Totals are read after the changes and may be ahead of the buckets by one delta, so one more
        is waited for.
        """
        buckets: dict[int, dict[str, Any]] = {}
        while True:
            event = self.next("delta", "snapshot")
            buckets |= {bucket["start"]: bucket["counts"] for bucket in event.data["buckets"]}
            if event.data["totals"]["posts"] == posts:
                event = self.next("delta", "snapshot")
                buckets |= {bucket["start"]: bucket["counts"] for bucket in event.data["buckets"]}
                return buckets, event


@contextmanager
def listen(site: Site, query: str = "", last_id: str | None = None) -> Iterator[Client]:
    headers = {} if last_id is None else {"Last-Event-ID": last_id}
    address = f"{site.address}/api/v1/stream?{query}"
    with httpx.stream("GET", address, headers=headers, timeout=20) as response:
        assert response.status_code == 200, response.read()
        assert response.headers["content-type"].startswith("text/event-stream")
        yield Client(response)


def test_a_snapshot_comes_first_and_deltas_are_absolute(site: Site) -> None:
    site.add([Written("s:1", minute=1), Written("s:2", minute=2)])
    with listen(site, "step=60") as client:
        first = client.next("snapshot", "delta")
        assert first.name == "snapshot"
        assert [b["counts"]["posts"] for b in first.data["buckets"]] == [1, 1]
        assert first.data["totals"]["posts"] == 2
        site.add([Written("s:3", minute=2.5, emotion="anger")])
        buckets, _ = client.until(3)
        assert list(buckets) == [MIDNIGHT + 120]
        assert buckets[MIDNIGHT + 120]["posts"] == 2
        assert buckets[MIDNIGHT + 120]["emotions"] == {"joy": 1, "anger": 1}


def test_coarse_steps_get_the_value_of_the_whole_bucket(site: Site) -> None:
    site.add([Written(f"c:{at}", minute=at) for at in range(4)])
    with listen(site, "step=300&span=3600") as client:
        assert client.next("snapshot").data["buckets"][0]["counts"]["posts"] == 4
        site.add([Written("c:late", minute=4.5)])
        buckets, _ = client.until(5)
        assert {start: counts["posts"] for start, counts in buckets.items()} == {MIDNIGHT: 5}


def test_without_a_span_the_snapshot_begins_with_the_first_hour_that_has_posts(site: Site) -> None:
    site.add([Written("h:1", minute=-3 * 1440 + 130), Written("h:2", minute=61)])
    with listen(site) as client:
        data = client.next("snapshot").data
        assert data["from"] <= MIDNIGHT - 3 * 86_400 + 7200
        assert data["from"] > MIDNIGHT - 3 * 86_400 + 7200 - data["step"]
        assert sum(bucket["counts"]["posts"] for bucket in data["buckets"]) == 2
        assert (data["to"] - data["from"]) / data["step"] <= 122


def test_counts_that_are_not_up_to_date_say_so_until_they_are(site: Site) -> None:
    site.add([Written("s:1")])
    url = f"{site.address}/api/v1/totals"

    def said() -> tuple[bool, str | None]:
        total = httpx.get(url, timeout=30).json()["all"]
        series = httpx.get(f"{site.address}/api/v1/series", timeout=30).json()
        assert series["stale"] == total["stale"]
        return total["stale"], total["stale_since"]

    assert said() == (False, None)
    site.confirm(1_700_000_000_000)
    assert said() == (True, "2023-11-14T22:13:20.000Z")
    site.up_to_date()
    assert said() == (False, None)
    site.empty()
    assert httpx.get(url, timeout=30).json()["all"]["stale"] is True
    site.add([Written("s:1")])
    assert said() == (False, None)


def test_tracks_do_not_mix(site: Site) -> None:
    site.add([Written("m:1", tracks=("all", "a")), Written("m:2", tracks=("all", "b"))])
    with listen(site, "track=a") as client:
        assert client.next("snapshot").data["totals"]["posts"] == 1
        site.add([Written("m:3", tracks=("all", "b")), Written("m:4", tracks=("all", "a"))])
        buckets, event = client.until(2)
        assert event.data["track"] == "a"
        assert sum(counts["posts"] for counts in buckets.values()) == 2


def test_a_client_that_comes_back_gets_what_it_missed(site: Site) -> None:
    site.add([Written("r:1", minute=1)])
    with listen(site) as client:
        last_id = client.next("snapshot").id
    site.add([Written("r:2", minute=7), Written("r:3", minute=8)])
    with listen(site, "step=60", last_id) as client:
        event = client.next("snapshot", "delta")
        assert event.name == "delta"
        assert [b["start"] - MIDNIGHT for b in event.data["buckets"]] == [420, 480]
        assert event.data["totals"]["posts"] == 3


@pytest.mark.parametrize("last_id", ["nonsense", "0.1-1", "0.99999999999999-0_1.0-0", "0.0-0_x.1"])
def test_an_id_that_cannot_be_resumed_gets_a_snapshot(site: Site, last_id: str) -> None:
    site.add([Written("i:1")])
    with listen(site, last_id=last_id) as client:
        assert client.next("snapshot", "delta").name == "snapshot"


def test_the_first_post_reaches_a_client_of_an_empty_store(site: Site) -> None:
    with listen(site) as client:
        assert client.next("snapshot").data["totals"]["posts"] == 0
        site.add([Written("f:1", minute=3)])
        buckets, _ = client.until(1)
        assert [counts["posts"] for counts in buckets.values()] == [1]


def test_all_clients_end_with_the_same_values_as_the_store(site: Site) -> None:
    posts = [Written(f"e:{at}", minute=at % 90, emotion="fear") for at in range(300)]
    site.add(posts[:20])
    with listen(site, "step=60") as one, listen(site, "step=60") as two:
        held = [
            {b["start"]: b["counts"] for b in c.next("snapshot").data["buckets"]}
            for c in (one, two)
        ]
        for at in range(20, 300, 40):
            site.add(posts[at : at + 40])
        series = httpx.get(f"{site.address}/api/v1/series?step=60").json()
        stored = {bucket["start"]: bucket["counts"] for bucket in series["buckets"]}
        for client, buckets in zip((one, two), held, strict=True):
            buckets.update(client.until(300)[0])
        assert held == [stored, stored]


class _NoPosts(PostReader):
    def __init__(self) -> None:
        """Without a consumer."""

    def read_many(
        self, places: Iterable[Place], timeout: float = 3
    ) -> dict[Place, IngestedPost | None]:
        raise AssertionError("streams read no posts")


def test_a_slow_client_loses_its_queue_and_gets_a_snapshot(
    site: Site,
) -> None:
    store = site.store
    metrics = Metrics()
    broadcaster = Broadcaster(Views(store, _NoPosts()), metrics, tick=0.01)

    def overruns() -> float:
        return metrics.registry.get_sample_value("weathervane_api_stream_overruns_total") or 0.0

    async def scenario() -> tuple[str | None, dict[str, Any]]:
        task = asyncio.create_task(broadcaster.run())
        events = broadcaster.events(Subscription("all", 60, 3600), None)
        assert (await anext(events)).event == "snapshot"
        added = 0
        while not overruns():
            await asyncio.to_thread(site.add, [Written(f"q:{added}", minute=added % 50)])
            added += 1
            assert added < 500, "the queue has no bound"
        (client,) = broadcaster._clients
        assert client.queue.qsize() <= QUEUE_EVENTS
        event = await anext(events)
        assert isinstance(events, AsyncGenerator)
        await events.aclose()
        task.cancel()
        assert broadcaster.clients == 0
        return event.event, json.loads(event.data or "")

    site.add([Written("q:first")])
    name, data = asyncio.run(scenario())
    assert name == "snapshot"
    totals = store.totals(["all"])["all"].posts
    assert data["totals"]["posts"] == totals
    assert sum(bucket["counts"]["posts"] for bucket in data["buckets"]) == totals


def test_clients_are_counted_and_leave_nothing_behind(site: Site) -> None:
    def clients() -> str:
        text = httpx.get(f"{site.address}/metrics").text
        return next(
            line for line in text.splitlines() if line.startswith("weathervane_api_stream_clients")
        )

    with listen(site) as client:
        client.next("snapshot")
        assert clients().endswith(" 1.0")
    until(lambda: clients().endswith(" 0.0"), "the closed stream is forgotten")


def test_a_store_that_goes_away_is_said_and_comes_back_with_a_snapshot(
    site_settings: Settings, tmp_path: Path
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = local_redis.prepare(tmp_path, port)
    settings = site_settings.model_copy(update={"redis": f"redis://127.0.0.1:{port}/0"})

    def start() -> subprocess.Popen[bytes]:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(lambda: local_redis.answers(port), "Redis answers")
        return process

    process = start()
    try:
        with serve(settings, "away") as site:
            site.add([Written("a:1", minute=1), Written("a:2", minute=2)])
            with listen(site) as client:
                client.next("snapshot")
                process.send_signal(signal.SIGTERM)
                process.wait(10)
                assert "does not answer" in client.next("unavailable").data["error"]
            assert httpx.get(f"{site.address}/readyz").status_code == 503
            process = start()
            until(lambda: httpx.get(f"{site.address}/readyz").status_code == 200, "it is ready")
            with listen(site) as client:
                assert client.next("snapshot").data["totals"]["posts"] == 2
    finally:
        process.kill()
        process.wait(10)
