"""What belongs to an erasure: posts, copies, dead letters. Without servers."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from typer import BadParameter

from tests.pipeline.test_records import Consumed
from workers.commands.erase import _given
from workers.erase_search import Findings, Written


def written(post_id: str, author: str = "80", **fields: Any) -> Written:
    data = {"id": post_id, "platform": post_id.partition(":")[0], "author": {"id": author}}
    return msgspec.convert(data | fields, Written)


def letter(topic: str, value: object, key: bytes | None = None) -> Consumed:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return Consumed(f"{topic}.dlq", 0, 0, 0, key, data, [])


def test_an_authors_posts_and_what_repeats_them_are_found() -> None:
    found = Findings("author", "x:71")
    for post in (
        written("x:1", "71"),
        written("x:10", repost_of="x:1", repost_author="x:71", deleted_with=["x:1"]),
        written("x:11", repost_of="x:2", repost_author="x:71", deleted_with=["x:2", "x:3"]),
        written("x:12", repost_of="x:1"),
        written("x:13", deleted_with=["x:12"]),
        written("weibo:1", "71"),
        written("weibo:2", repost_of="x:1"),
        written("x:4", "7"),
    ):
        found.take(post)
    assert found.posts == {"x:1"}
    assert found.copies == {"x:10", "x:11", "x:12", "x:13"}
    assert found.named == {"x:1", "x:2", "x:3"}, "originals that did not come themselves"


def test_a_post_is_found_by_any_of_its_versions_and_without_its_platform() -> None:
    found = Findings("post", "x:2", named={"x:2"})
    found.take(written("x:1", deleted_with=["x:2"]))
    found.take(written("x:10", deleted_with=["x:1"]))
    assert found.ids == {"x:2", "x:1", "x:10"}
    bare = Findings("post", "weathervane:42")
    bare.take(written("42", platform="weathervane"))
    assert bare.posts == {"42"}


ORIGINAL = {"id": 1, "full_text": "so sad", "user": {"id": 71}}
TIME = {"created_at": "Mon Jan 26 10:00:00 +0000 2026"}


@pytest.mark.parametrize(
    ("found", "held"),
    [
        (letter("posts.raw.x", ORIGINAL | TIME), True),
        (letter("posts.raw.x", ORIGINAL), True),
        (letter("posts.raw.x", ORIGINAL | {"user": {"id": 8}, "retweeted_status": ORIGINAL}), True),
        (letter("posts.raw.x", b'{"id": 9, "user": {"id":71,'), True),
        (letter("posts.raw.x", b'{"id": 9, "user": {"id": 712}'), False),
        (letter("posts.raw.x", b'{"id": 9, "user": {"followers_count": 71}'), False),
        (letter("posts.raw.weibo", b'{"id": 9, "user": {"id": 71}'), False),
        (letter("posts.raw.weathervane", b'{"author": {"id": "71"}'), False),
        (letter("posts.raw.weathervane", b'{"platform": "x", "author": {"id": "71"}'), True),
        (letter("posts.raw.weathervane", b'{"platform": "weibo", "author": {"id": "71"}'), False),
        (letter("posts.raw.weathervane", b'{"author": {"id": "x:71"}'), True),
        (letter("posts.raw.weibo", b'{"author": {"id": "x:71"}'), True),
        (letter("posts", b'{"platform":"x","author":{"id":"71"}'), True),
        (letter("posts", b'{"author":{"id":"71"}'), False),
        (letter("posts", {"id": "x:5", "platform": "x", "author": {"id": "71"}}), True),
        (letter("posts", {"id": "x:6", "repost_author": "x:71"}), True),
        (letter("posts", {"id": "x:7"}), False),
        (letter("posts.raw.x", b"", b"x:1"), True),
    ],
)
def test_dead_letters_are_recognised(found: Consumed, held: bool) -> None:
    findings = Findings("author", "x:71", posts={"x:1"})
    assert findings.holds(found) == held
    assert findings.posts == {"x:1"}, "a letter is no post that was found"


@pytest.mark.parametrize(
    ("name", "topics"),
    [
        ("a:b", set()),
        ("mastodon:vic", {"posts.raw.mastodon"}),
        ("weathervane:vic", {"posts.raw.weathervane", "posts", "sentiment"}),
        ("myspace:vic", {"posts.raw.myspace"}),
    ],
)
def test_a_bare_id_is_of_its_own_platform_alone(name: str, topics: set[str]) -> None:
    value = json.dumps({"n": ["b", "vic"]}).encode()[:-1]
    platforms = ("weathervane", "mastodon", "x", "weibo", "bluesky", "myspace")
    given = ["posts", "sentiment", *(f"posts.raw.{platform}" for platform in platforms)]
    findings = Findings("post", name, named={name})
    assert {topic for topic in given if findings.holds(letter(topic, value))} == topics


@pytest.mark.parametrize(
    "name", ["71", "", " ", "x:", "x: ", ":71", "author 71", "https://x.com/1"]
)
def test_an_id_without_a_platform_is_refused_with_an_example(name: str) -> None:
    with pytest.raises(BadParameter, match=r"platform:ID, as in: erase author x:71"):
        _given(name, "author x:71")


@pytest.mark.parametrize("name", ["did:plc:abc", "at://did:plc:abc/app.bsky.feed.post/1"])
def test_an_id_of_bluesky_is_told_how_to_be_written(name: str) -> None:
    with pytest.raises(BadParameter, match=f"write bluesky:{name}"):
        _given(name, "author x:71")


def test_platforms_are_written_small() -> None:
    assert _given(" X:71 ", "author x:71") == "x:71"
    assert _given("bluesky:did:plc:abc", "author x:71") == "bluesky:did:plc:abc"
    assert _given("Somewhere:7", "author x:71") == "Somewhere:7"
