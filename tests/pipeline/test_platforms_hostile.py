"""Records that are made to stop a decoder: each is read or refused, in time."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from pipeline.errors import Unreadable
from pipeline.platforms import DECODERS
from pipeline.platforms.reading import plain
from pipeline.post import Post

SECONDS = 5.0
"""For a record of two megabytes, which html.parser read for an hour."""
POST = {"id": "7", "created_at": "2026-03-01T12:00:00Z", "text": "so happy", "content": "so happy"}
PLATFORMS = ("weathervane", "mastodon", "x", "weibo")


def raw(**fields: Any) -> bytes:
    return json.dumps(POST | fields).encode()


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize(
    "time_of_post", [float("nan"), float("inf"), -float("inf"), 1e300, 10**300]
)
def test_number_that_is_no_time_is_refused(platform: str, time_of_post: float) -> None:
    with pytest.raises(Unreadable, match="created_at is not a time"):
        DECODERS[platform](raw(created_at=time_of_post))


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("depth", [300, 480, 600, 900, 990, 2_000, 100_000])
@pytest.mark.parametrize("brackets", [("[", "]"), ('{"embed":', "}"), ('{"a":[', "]}")])
def test_deep_nesting_beside_half_a_character_is_read_or_refused(
    platform: str, depth: int, brackets: tuple[str, str]
) -> None:
    deep = brackets[0] * depth + "1" + brackets[1] * depth
    record = raw(text="H", content="H").replace(b'"H"', rb'"so \ud83d"')
    record = record[:-1] + f', "more": {deep}}}'.encode()
    try:
        assert DECODERS[platform](record)
    except Unreadable as error:
        assert "nested too deeply" in str(error)


@pytest.mark.parametrize("kind", [{"a": 1}, [1], 5, None, True])
def test_kind_of_attachment_of_any_type_costs_the_attachment(kind: object) -> None:
    item = {"type": kind, "url": "https://example.invalid/a.jpg"}
    for platform, fields in (
        ("mastodon", {"media_attachments": [item]}),
        ("x", {"entities": {"media": [item]}}),
    ):
        post = DECODERS[platform](raw(**fields))
        assert isinstance(post, Post)
        assert (post.text, post.media) == ("so happy", ())


@pytest.mark.parametrize(
    "piece",
    [
        *("<!--", "<!", "</", "<?", "<a ", "<a b='", '<img alt="', "<![", "<script>", "<", "<p>"),
        *("<template>", "<head><b>", "<span class=invisible>", "<img alt='['>", "<style></p>"),
    ],
)
def test_markup_that_is_not_closed_takes_no_time(piece: str) -> None:
    start = time.monotonic()
    plain("so happy" + piece * (1_900_000 // len(piece)))
    assert time.monotonic() - start < SECONDS


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("I <3 you > all", "I <3 you > all"),
        ("2 < 3 &amp; 4", "2 < 3 & 4"),
        ("so <!-- <b> --> happy<!-->!", "so  happy!"),
        ("so happy<!-- the end", "so happy"),
        ("<a title='a > b' href=\"x?a>b\">so</a> <b>happy</b>", "so happy"),
        ("<P>so</P><P>happy<BR/>!</P>", "so\nhappy\n!"),
        ("<img src=x ALT=[泪]>so<img alt='&#58;blob_cat:'><img alt=🎉>", "[泪]so:blob_cat:🎉"),
        ('<img alt="I am so happy"><img title="[泪]"><img alt="so [泪]">so', "so"),
        ('<IMG ALT="joy.png"/><p title="joy">so</p><img alt>', "so"),
        ("<style>body{joy}</style><p>so</p><SCRIPT>if (a<b) '<p>'</SCRIPT >!", "so!"),
        ("so<script>'<script>'</script> happy<style>p{}", "so happy"),
        ("<noscript><p>joy</p></noscript>so<template><template><b>a</template>b</template>", "so"),
        ("<head><meta charset=utf-8><link href=x><title>joy</title></head>so", "so"),
        ("<html><head><title>joy</title><body>so</body></html>", "so"),
        ("<head>joy<title>joy</title><p>so</p>", "so"),
        ("<span class=invisible><b>https</span>so<hr class=invisible>!", "so!"),
        ("<span class='mention invisible'>https://<b>x</b></span>so", "so"),
        ("<!doctype html><?php x ?>so</ happy>", "so"),
    ],
)
def test_html_is_read_as_browsers_show_it(html: str, text: str) -> None:
    assert plain(html) == text


def test_tweet_that_names_many_pictures_takes_no_time() -> None:
    message = {
        "data": POST | {"attachments": {"media_keys": [1] * 60_000}},
        "includes": {"media": [{"media_key": 2}] * 60_000 + [{"media_key": 1, "type": "photo"}]},
    }
    start = time.monotonic()
    post = DECODERS["x"](json.dumps(message).encode())
    assert time.monotonic() - start < SECONDS
    assert isinstance(post, Post)
    assert post.text == "so happy"
    assert len(post.media) == 60_000
