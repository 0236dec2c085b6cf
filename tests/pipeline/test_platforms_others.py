"""Mastodon, X and Weibo: their own JSON, as their documentation and recordings have it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import Unreadable
from pipeline.notice import Notice
from pipeline.platforms import DECODERS, mastodon, weibo, x
from pipeline.platforms.reading import plain
from pipeline.post import Author, Media, Post

SAMPLES = Path(__file__).parents[3] / "shared" / "samples"
STATUS: dict[str, Any] = {
    "id": "7",
    "created_at": "2026-03-01T12:00:00.000Z",
    "visibility": "public",
    "language": "de",
    "content": "<p>so ein Tag</p>",
    "url": "https://example.social/@a/7",
    "account": {"id": "1", "acct": "a", "display_name": "", "followers_count": 3},
    "media_attachments": [],
}
TWEET: dict[str, Any] = {
    "id": "1223664533451026434",
    "text": "what a day &amp; night",
    "lang": "en",
    "author_id": "9",
    "created_at": "2020-02-01T17:48:54.000Z",
}
WEIBO: dict[str, Any] = {
    "idstr": "4091509081366576",
    "created_at": "Fri Mar 31 23:47:24 +0800 2017",
    "text": "今天真好[笑cry]\u200b",
    "user": {"idstr": "5", "screen_name": "n", "followers_count": 8},
}


def read(platform: str, data: object) -> Post:
    post = DECODERS[platform](json.dumps(data).encode())
    assert isinstance(post, Post)
    return post


def notice(platform: str, data: object) -> Notice:
    found = DECODERS[platform](json.dumps(data).encode())
    assert isinstance(found, Notice)
    return found


def test_a_mastodon_status_is_read_whole() -> None:
    picture = {"type": "image", "url": "https://example.social/1.png", "description": "a cat"}
    clip = {"type": "gifv", "url": None, "remote_url": "https://example.social/2.mp4"}
    post = read(
        "mastodon",
        STATUS
        | {
            "spoiler_text": "weather",
            "content": '<p>so ein<br>Tag <a href="https://a.example/long"><span class="invisible">'
            'https://</span><span class="ellipsis">a.example/lo</span><span class="invisible">ng'
            "</span></a></p><p>&lt;3 &amp; more</p>",
            "in_reply_to_id": "6",
            "media_attachments": [picture, clip, {"type": "unknown", "url": "x"}],
        },
    )
    assert post == Post(
        id="mastodon:7",
        platform="mastodon",
        author=Author("1", "a", 3),
        created_at=datetime(2026, 3, 1, 12, tzinfo=UTC),
        lang="de",
        text="weather\nso ein\nTag a.example/lo\n<3 & more",
        media=(
            Media("image", url="https://example.social/1.png", alt="a cat"),
            Media("video", url="https://example.social/2.mp4"),
        ),
        reply_to="mastodon:6",
        url="https://example.social/@a/7",
    )


def test_a_boost_is_a_repost_of_what_it_shows() -> None:
    post = read("mastodon", STATUS | {"id": "8", "content": "", "reblog": STATUS})
    assert (post.id, post.repost_of, post.text) == ("mastodon:8", "mastodon:7", "so ein Tag")


@pytest.mark.parametrize("visibility", ["private", "direct", "limited"])
def test_what_was_written_to_few_is_no_post(visibility: str) -> None:
    assert mastodon.decode(json.dumps(STATUS | {"visibility": visibility}).encode()) is None


def test_mastodon_events_are_posts_edits_and_deletions() -> None:
    edited = STATUS | {"edited_at": "2026-03-01T12:30:00Z", "content": "<p>doch nicht</p>"}
    new = read("mastodon", {"event": "update", "payload": json.dumps(STATUS)})
    edit = read("mastodon", {"event": "status.update", "payload": edited})
    gone = read("mastodon", {"event": "delete", "payload": "7"})
    assert (new.id, new.revision, new.deleted) == ("mastodon:7", 0, False)
    assert (edit.id, edit.revision, edit.text) == ("mastodon:7", 1, "doch nicht")
    assert (gone.id, gone.deleted) == ("mastodon:7", True)
    assert mastodon.decode(b'{"event": "notification", "payload": "{}"}') is None


def test_a_message_of_x_is_joined_with_what_it_includes() -> None:
    message = {
        "data": TWEET
        | {
            "attachments": {"media_keys": ["3_1", "7_2", "gone"]},
            "referenced_tweets": [{"type": "replied_to", "id": "5"}],
        },
        "includes": {
            "users": [{"id": "9", "name": "n", "public_metrics": {"followers_count": 4}}],
            "media": [
                {"media_key": "3_1", "type": "photo", "url": "https://p.example/1.jpg"},
                {
                    "media_key": "7_2",
                    "type": "video",
                    "variants": [
                        {"content_type": "video/mp4", "bit_rate": 900, "url": "https://v/b.mp4"},
                        {"content_type": "video/mp4", "bit_rate": 300, "url": "https://v/a.mp4"},
                        {"content_type": "application/x-mpegURL", "url": "https://v/a.m3u8"},
                    ],
                },
            ],
        },
    }
    assert read("x", message) == Post(
        id="x:1223664533451026434",
        platform="x",
        author=Author("9", "n", 4),
        created_at=datetime(2020, 2, 1, 17, 48, 54, tzinfo=UTC),
        lang="en",
        text="what a day & night",
        media=(
            Media("image", url="https://p.example/1.jpg"),
            Media("video", url="https://v/a.mp4"),
        ),
        reply_to="x:5",
        url="https://x.com/i/status/1223664533451026434",
    )


def test_a_retweet_has_the_whole_text_of_what_it_repeats() -> None:
    cut = TWEET | {
        "text": "RT @a: what a …",
        "referenced_tweets": [{"type": "retweeted", "id": "5"}],
    }
    whole = {"id": "5", "text": "what a long day"}
    post = read("x", {"data": cut, "includes": {"tweets": [whole]}})
    assert (post.text, post.repost_of) == ("what a long day", "x:5")
    assert read("x", cut).text == "RT @a: what a …", "where it is not included"
    old = read("x", TWEET | {"retweeted_status": {"id_str": "5", "full_text": "what a long day"}})
    assert (old.text, old.repost_of) == ("what a long day", "x:5")


def test_an_edited_tweet_keeps_its_first_id() -> None:
    versions = {"edit_history_tweet_ids": ["1223664533451026000", TWEET["id"]]}
    post = read("x", TWEET | versions)
    assert (post.id, post.revision) == ("x:1223664533451026000", 1)
    assert read("x", TWEET | {"edit_history_tweet_ids": [TWEET["id"]]}).revision == 0


def test_what_x_leaves_out_is_found_or_left_out() -> None:
    bare = read("x", {"id": TWEET["id"], "text": "hm", "lang": "und"})
    assert bare.created_at.replace(microsecond=0) == datetime(2020, 2, 1, 17, 48, 54, tzinfo=UTC)
    assert (bare.author, bare.lang) == (None, None)
    assert read("x", TWEET | {"lang": "in"}).lang == "id"
    assert x.decode(b'{"limit": {"track": 5}}') is None


def test_a_weibo_status_is_read_whole() -> None:
    small = "http://ww1.example/thumbnail/a.jpg"
    assert read("weibo", WEIBO | {"pic_urls": [{"thumbnail_pic": small}]}) == Post(
        id="weibo:4091509081366576",
        platform="weibo",
        author=Author("5", "n", 8),
        created_at=datetime(2017, 3, 31, 15, 47, 24, tzinfo=UTC),
        text="今天真好[笑cry]",
        media=(Media("image", url="http://ww1.example/large/a.jpg"),),
        url="https://m.weibo.cn/detail/4091509081366576",
    )
    mobile = {"pic_ids": ["b", "a"], "pic_infos": {n: {"large": {"url": n}} for n in "ab"}}
    assert [m.url for m in read("weibo", WEIBO | mobile).media] == ["b", "a"]
    html = WEIBO | {"text": '好<span class="url-icon"><img alt=[赞] src="x.png"></span><br/>真好'}
    assert read("weibo", html).text == "好[赞]\n真好"
    long = WEIBO | {"longText": {"longTextContent": "全文"}}
    assert read("weibo", long).text == "全文"


def test_a_repost_without_words_shows_what_it_repeats() -> None:
    original = WEIBO | {"idstr": "4", "text": "气死我了", "original_pic": "http://p.example/1.jpg"}
    bare = read("weibo", WEIBO | {"text": "转发微博", "retweeted_status": original})
    assert (bare.text, bare.repost_of, len(bare.media)) == ("气死我了", "weibo:4", 1)
    own = read("weibo", WEIBO | {"retweeted_status": original})
    assert (own.text, own.repost_of, len(own.media)) == ("今天真好[笑cry]", "weibo:4", 0)


@pytest.mark.parametrize(
    ("platform", "data"),
    [
        ("mastodon", STATUS | {"content": "<p></p>", "poll": {"options": [{"title": "yes"}]}}),
        ("mastodon", STATUS | {"content": ""}),
        ("x", TWEET | {"text": " "}),
        ("weibo", WEIBO | {"text": ""}),
        ("weibo", WEIBO | {"text": "\u200b"}),
    ],
)
def test_a_post_that_was_published_without_words_is_a_post(
    platform: str, data: dict[str, Any]
) -> None:
    post = read(platform, data)
    assert not (post.text or "").strip()
    assert post.text is not None
    assert post.media == ()


def test_a_weibo_that_is_gone_or_not_public_is_no_post() -> None:
    gone = read("weibo", {"idstr": "4", "deleted": "1", "text": "抱歉"})
    assert (gone.id, gone.deleted) == ("weibo:4", True)
    assert weibo.decode(json.dumps(WEIBO | {"visible": {"type": 1}}).encode()) is None


@pytest.mark.parametrize(
    ("platform", "data", "reason"),
    [
        ("mastodon", {"content": "x"}, "no id: not a Mastodon status"),
        ("mastodon", {"id": "1", "content": "x"}, "no created_at"),
        ("mastodon", STATUS | {"created_at": "soon"}, "created_at is not a time"),
        ("mastodon", STATUS | {"content": None}, "neither text nor media"),
        ("mastodon", {"event": "update", "payload": "{"}, "not JSON"),
        ("mastodon", {"event": "update", "payload": 7}, "the payload of update is a number"),
        ("mastodon", {"event": "delete"}, "no payload"),
        ("x", {"data": [TWEET]}, "data is a list: a page of tweets"),
        ("x", {"errors": [{"title": "Not Found"}]}, "errors of the API"),
        ("x", {"text": "x"}, "no id: not a tweet"),
        ("x", {"id": "abc", "text": "x"}, "no created_at, and no time in the id"),
        ("x", TWEET | {"created_at": "Wed Apr 99"}, "created_at is not a time"),
        ("x", TWEET | {"text": None}, "neither text nor media"),
        ("weibo", {"statuses": [WEIBO]}, "statuses is a list: a page of statuses"),
        ("weibo", {"text": "x"}, "no id: not a Weibo status"),
        ("weibo", WEIBO | {"created_at": None}, "no created_at"),
        ("weibo", WEIBO | {"text": None}, "neither text nor media"),
    ],
)
def test_what_cannot_be_read_is_named(platform: str, data: object, reason: str) -> None:
    with pytest.raises(Unreadable, match=reason):
        read(platform, data)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
_NAMES = [
    *STATUS,
    *TWEET,
    *WEIBO,
    *[
        "event",
        "payload",
        "data",
        "includes",
        "delete",
        "reblog",
        "retweeted_status",
        "attachments",
        "pic_urls",
    ],
    *[
        "referenced_tweets",
        "pic_ids",
        "pic_infos",
        "extended_entities",
        "edited_at",
        "longText",
        "visible",
    ],
    *[
        "edit_history_tweet_ids",
        "mid",
        "errors",
        "note_tweet",
        "extended_tweet",
        "entities",
        "statuses",
    ],
]


@pytest.mark.parametrize("platform", ["mastodon", "x", "weibo"])
@given(changes=st.dictionaries(st.sampled_from(_NAMES), _json, max_size=4), whole=st.booleans())
def test_fields_of_any_type_are_read_or_refused(
    platform: str, changes: dict[str, Any], whole: bool
) -> None:
    base = {"mastodon": STATUS, "x": TWEET, "weibo": WEIBO}[platform] if whole else {}
    try:
        DECODERS[platform](json.dumps(base | changes).encode())
    except Unreadable as error:
        assert str(error)


@given(st.text())
def test_any_html_has_a_text(html: str) -> None:
    assert "<p>" not in plain(f"<p>{html.replace('<', '').replace('&', '')}</p>")


def _recorded(platform: str) -> Iterator[bytes]:
    for file in sorted((SAMPLES / platform).glob("*.json*")):
        content = file.read_text(encoding="utf-8")
        for line in content.splitlines() if file.suffix == ".jsonl" else [content]:
            for record in _singles(json.loads(line)):
                yield json.dumps(record).encode()


def _singles(data: Any) -> list[Any]:
    """The records of a page."""
    if isinstance(data, list):
        return data
    if isinstance(data.get("statuses"), list):
        return list(data["statuses"])
    if isinstance(data.get("data"), list):
        return [{"data": each, "includes": data.get("includes", {})} for each in data["data"]]
    return [data]


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="the recorded samples are not here")
@pytest.mark.parametrize(
    ("platform", "posts", "others", "refused"),
    [("mastodon", 73, 13, 3), ("x", 264, 0, 0), ("weibo", 48, 0, 0)],
)
def test_recordings_are_read(platform: str, posts: int, others: int, refused: int) -> None:
    found: Counter[str] = Counter()
    for record in _recorded(platform):
        try:
            post = DECODERS[platform](record)
        except Unreadable as error:
            assert "no created_at" in str(error), "a picture alone is no status"
            found["refused"] += 1
            continue
        found["posts" if post is not None and not post.deleted else "others"] += 1
    assert (found["posts"], found["others"], found["refused"]) == (posts, others, refused)
