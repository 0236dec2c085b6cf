"""The routes over a real store and a real `posts` topic."""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from collections.abc import Iterable, Iterator
from typing import Any

import httpx
import pytest

from pipeline.lag import Lag
from pipeline.post import IngestedPost, Media
from pipeline.posts_reader import Place, PostReader
from pipeline.settings import Settings
from pipeline.store import Store, connect
from tests.workers.site import DAY, Site, Written, serve
from workers.api import create_app
from workers.api.alerts import AlertDesk

pytestmark = pytest.mark.servers

MIDNIGHT = int(DAY.timestamp())
JPEG = b"\xff\xd8\xff\xe0 not decoded here \xff\xd9"
POSTS = [
    Written("t:1", "so happy", 1, "joy", ("all", "brand")),
    Written("t:2", "糟透了", 1.5, "anger", ("all",), "weibo", "zh"),
    Written("t:3", "it is what it is", 90, "neutral", ("all", "brand"), abstained=True),
    Written("t:4", "x" * 3000, 91, "joy", url="https://example.org/4", conflict=0.7),
    Written("t:5", None, 92, "fear", url="javascript:alert(1)", media=(Media("image", data=JPEG),)),
    Written("t:6", "never published", 93, "joy", published=False),
    Written("t:7", "https://t.co/x", 94, tracks=("all", "brand"), unread=True),
]


@pytest.fixture(scope="module")
def filled(site_settings: Settings) -> Iterator[Site]:
    with serve(site_settings, f"filled-{uuid.uuid4().hex[:8]}") as site:
        site.add(POSTS)
        yield site


def get(site: Site, path: str, **options: Any) -> httpx.Response:
    return httpx.get(site.address + path, timeout=30, **options)


def test_totals_are_what_was_folded(filled: Site) -> None:
    totals = get(filled, "/api/v1/totals").json()
    assert set(totals) == {"all", "brand"}
    everything = totals["all"]
    assert everything["posts"] == len(POSTS)
    assert everything["emotions"] == {"joy": 3, "anger": 1, "fear": 1}
    assert everything["polarity"] == {"positive": 3, "negative": 2}
    assert sum(everything["joint"].values()) == 5
    assert everything["platforms"] == {"bluesky": 6, "weibo": 1}
    assert (everything["abstained"], everything["unread"]) == (1, 1)
    assert everything["sentiment"] == pytest.approx((3 * 0.7 - 2 * 0.625) / 5)
    assert get(filled, "/api/v1/totals?track=brand").json() == {"brand": totals["brand"]}


@pytest.mark.parametrize("step", [60, 300, 3600, 86_400])
def test_a_series_adds_up_to_the_totals(filled: Site, step: int) -> None:
    series = get(filled, f"/api/v1/series?step={step}").json()
    assert (series["from"], series["to"], series["step"]) == (MIDNIGHT, MIDNIGHT + 86_400, step)
    assert sum(bucket["counts"]["posts"] for bucket in series["buckets"]) == len(POSTS)
    assert {bucket["start"] % step for bucket in series["buckets"]} == {0}


def test_a_series_is_cut_to_its_window_and_track(filled: Site) -> None:
    path = "/api/v1/series?track=brand&from=2026-11-18T01:00:00Z&to=2026-11-18T02:00:00Z"
    buckets = get(filled, path).json()["buckets"]
    assert [(b["start"] - MIDNIGHT, b["counts"]["posts"]) for b in buckets] == [
        (90 * 60, 1),
        (94 * 60, 1),
    ]
    assert [(b["counts"]["abstained"], b["counts"]["unread"]) for b in buckets] == [(1, 0), (0, 1)]
    assert [b["counts"]["emotions"] for b in buckets] == [{}, {}]


def test_posts_come_newest_first_with_their_text(filled: Site) -> None:
    posts = get(filled, "/api/v1/posts").json()["posts"]
    assert [post["id"] for post in posts] == ["t:6", "t:5", "t:4", "t:2", "t:1"]
    by_id = {post["id"]: post for post in posts}
    assert by_id["t:2"]["text"] == "糟透了"
    assert by_id["t:2"]["created_at"] == "2026-11-18T00:01:30.000Z"
    assert len(by_id["t:4"]["text"]) == 1000
    assert by_id["t:4"]["truncated"]
    assert by_id["t:4"]["url"] == "https://example.org/4"
    assert by_id["t:4"]["conflict"] == 0.7
    assert by_id["t:5"]["text"] is None
    assert by_id["t:5"]["missing"] is None
    assert by_id["t:5"]["url"] is None
    assert by_id["t:5"]["media"][0]["picture"].startswith("data:image/jpeg;base64,/9j/")
    assert by_id["t:6"]["text"] is None
    assert by_id["t:6"]["missing"] == "unplaced"


def test_posts_of_one_emotion_and_of_one_track(filled: Site) -> None:
    joyful = get(filled, "/api/v1/posts?emotion=joy&limit=2").json()["posts"]
    assert [post["id"] for post in joyful] == ["t:6", "t:4"]
    branded = get(filled, "/api/v1/posts?track=brand").json()["posts"]
    assert [post["id"] for post in branded] == ["t:1"]


def test_an_empty_store_says_so_and_invents_nothing(site: Site) -> None:
    assert get(site, "/api/v1/tracks").json() == {"tracks": ["all"]}
    totals = get(site, "/api/v1/totals").json()
    assert totals["all"]["posts"] == 0
    assert totals["all"]["emotions"] == {}
    assert get(site, "/api/v1/series").json()["buckets"] == []
    assert get(site, "/api/v1/posts").json()["posts"] == []


@pytest.mark.parametrize(
    ("path", "status", "sentence"),
    [
        ("/api/v1/series?track=nothing", 404, "There is no track 'nothing'."),
        ("/api/v1/posts?track=nothing", 404, "There is no track 'nothing'."),
        ("/api/v1/totals?track=nothing", 404, "There is no track 'nothing'."),
        ("/api/v1/stream?track=nothing", 404, "There is no track 'nothing'."),
        ("/api/v1/series?from=yesterday", 422, "from is not a time: 'yesterday'"),
        ("/api/v1/series?from=2026-11-18T02:00:00Z&to=2026-11-18T01:00:00Z", 422, "before to"),
        ("/api/v1/series?step=7", 422, "step: 7 is no bucket width"),
        ("/api/v1/series?step=x", 422, "step: Input should be a valid integer"),
        ("/api/v1/series?from=0&to=1794960000&step=60", 422, "from is not a time"),
        ("/api/v1/series?from=1700000000&to=1794960000&step=60", 422, "at most 1500"),
        ("/api/v1/stream?step=7", 422, "step: 7 is no bucket width"),
        ("/api/v1/stream?span=1", 422, "span: Input should be greater than or equal to 60"),
        ("/api/v1/posts?emotion=envy", 422, "emotion: Input should be 'anger', 'disgust'"),
        ("/api/v1/posts?limit=1000", 422, "limit: Input should be less than or equal to 50"),
        ("/api/v1/nothing", 404, "nothing at this address"),
        ("/page/../app.py", 404, "nothing at this address"),
        ("/page/%2e%2e/api/app.py", 404, "nothing at this address"),
    ],
)
def test_bad_input_gets_one_plain_sentence(
    filled: Site, path: str, status: int, sentence: str
) -> None:
    response = get(filled, path)
    assert response.status_code == status
    assert sentence in response.json()["error"]
    assert "Traceback" not in response.text


def test_an_unknown_track_is_answered_with_those_there_are(filled: Site) -> None:
    assert get(filled, "/api/v1/series?track=brnd").json()["tracks"] == ["all", "brand"]


def test_nothing_can_be_written(filled: Site) -> None:
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        response = httpx.request(method, f"{filled.address}/api/v1/totals")
        assert response.status_code == 405
        assert "error" in response.json()


def test_the_description_covers_every_route_and_every_shape(filled: Site) -> None:
    description = get(filled, "/openapi.json").json()
    names = ["tracks", "series", "totals", "posts", "stream", "freshness"]
    names += ["alerts", "alerts/{alert}", "alerts/{alert}/{action}"]
    assert set(description["paths"]) == {f"/api/v1/{name}" for name in names}
    text = json.dumps(description)
    shapes = description["components"]["schemas"]
    assert set(re.findall(r'"#/components/schemas/(\w+)"', text)) <= set(shapes)
    trust = {"stale", "stale_since", "behind"}
    required = {"track", "from", "to", "step", "buckets"}
    assert set(shapes["Series"]["required"]) == required | trust
    assert get(filled, "/docs").status_code == 404


def test_health_readiness_and_metrics(filled: Site) -> None:
    assert get(filled, "/healthz").status_code == 200
    assert get(filled, "/readyz").status_code == 200
    get(filled, "/api/v1/tracks")
    get(filled, "/api/v1/nothing-of-the-sort")
    metrics = get(filled, "/metrics").text
    assert re.search(
        r'weathervane_api_requests_total{route="/api/v1/tracks",status="200"} [1-9]', metrics
    )
    assert "weathervane_api_request_duration_seconds_bucket" in metrics
    assert "nothing-of-the-sort" not in metrics


class _NoPosts(PostReader):
    def __init__(self) -> None:
        """Without a consumer."""

    def read_many(
        self, places: Iterable[Place], timeout: float = 3
    ) -> dict[Place, IngestedPost | None]:
        raise AssertionError("the store failed before")


class _NoLag(Lag):
    def __init__(self) -> None:
        """Without its clients."""


def test_without_a_store_the_server_lives_but_is_not_ready() -> None:
    store = Store(connect("redis://127.0.0.1:1/0"))
    desk = AlertDesk(Settings(kafka="127.0.0.1:1"))
    app = create_app(store, _NoPosts(), _NoLag(), desk)
    transport = httpx.ASGITransport(app)

    async def ask(path: str) -> httpx.Response:
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.get(path)

    assert asyncio.run(ask("/healthz")).status_code == 200
    assert asyncio.run(ask("/readyz")).status_code == 503
    for path in ("/api/v1/tracks", "/api/v1/stream"):
        response = asyncio.run(ask(path))
        assert response.status_code == 503
        assert response.json()["error"].startswith("The store does not answer")
