"""Platform mappings: what is read, what is skipped, and what a person is told of the rest."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import Unreadable
from pipeline.notice import Notice
from pipeline.platforms import DECODERS, bluesky, canonical
from pipeline.post import Author, Post

SAMPLES = Path(__file__).parents[3] / "shared" / "samples"


def canonical_record(**fields: object) -> bytes:
    record = {"id": "weathervane:1", "created_at": "2026-03-01T12:00:00Z", "text": "hello"}
    return json.dumps(record | fields).encode()


def commit(record: dict[str, object], **fields: object) -> dict[str, object]:
    about = {"operation": "create", "collection": "app.bsky.feed.post", "rkey": "3kabc"}
    return {
        "did": "did:plc:abc",
        "time_us": 1_772_366_400_000_000,
        "kind": "commit",
        "commit": about | fields | {"record": record},
    }


def test_a_full_canonical_post_is_read_whole() -> None:
    post = canonical.decode(
        canonical_record(
            platform="weibo",
            author={"id": "7", "name": "n", "followers": 3},
            lang="zh",
            media=[{"kind": "image", "mime": "image/png", "bytes": "AAEC", "alt": "a cat"}],
            reply_to="weibo:0",
            unknown={"kept": "out of the way"},
        )
    )
    assert post.author == Author("7", "n", 3)
    assert post.media[0].data == b"\x00\x01\x02"
    assert (post.platform, post.lang, post.reply_to) == ("weibo", "zh", "weibo:0")


@pytest.mark.parametrize(
    ("fields", "revision", "edited"),
    [
        ({}, 0, False),
        ({"edited_at": None}, 0, False),
        ({"edited_at": "2026-03-01T12:00:00Z"}, 0, False),
        ({"edited_at": "2026-03-01T12:05:00Z"}, 1, True),
        ({"edited_at": 1772366700}, 1, True),
        ({"edited_at": "2026-03-01T12:05:00Z", "revision": 4}, 4, True),
        ({"revision": 2}, 2, False),
        ({"revision": -1}, 0, False),
        ({"revision": 2**60, "edited_at": "soon"}, 0, False),
        ({"edited_at": "9999-01-01T00:00:00Z"}, 0, False),
    ],
)
def test_an_edit_has_a_revision(fields: dict[str, object], revision: int, edited: bool) -> None:
    post = canonical.decode(canonical_record(**fields))
    assert (post.revision, post.edited_at is not None) == (revision, edited)


def test_a_bluesky_update_is_an_edit() -> None:
    body: dict[str, object] = {"text": "hi", "createdAt": "2026-03-01T12:00:00Z"}
    first, edited = (
        bluesky.decode(json.dumps(commit(body, operation=operation)).encode())
        for operation in ("create", "update")
    )
    assert isinstance(first, Post)
    assert isinstance(edited, Post)
    assert (first.id, first.revision, first.edited_at) == (edited.id, 0, None)
    assert (edited.revision, edited.edited_at) == (1, datetime(2026, 3, 1, 12, tzinfo=UTC))


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "the record is empty"),
        (b"\xff\xfe", "not JSON"),
        (b'{"id": "a"', "not JSON"),
        (
            canonical_record(text="?").replace(b"?", "气死我了".encode("gbk")),
            "not UTF-8 at byte 71",
        ),
        (b"[1]", "the JSON is a list; expected an object with an id"),
        (b"null", "the JSON is null; expected"),
        (b"17", "the JSON is a number; expected"),
        (b"1.5", "the JSON is a number; expected"),
        (b'"so happy"', "the JSON is a text; expected"),
        (b"true", "the JSON is true; expected"),
        (b"-" + b"9" * 5000, "the JSON is a number; expected"),
        (b'{"id": ' + b"9" * 5000 + b"}", "id is a number; expected a text"),
        (canonical_record(created_at=0).replace(b": 0", b": " + b"9" * 5000), "is not a time"),
        (canonical_record(text={}), "text is an object; expected a text or null"),
        (b'{"text": "no id"}', "no id"),
        (b'{"id": 5, "text": "x"}', "id is a number"),
        (canonical_record(id=" "), "id is empty"),
        (canonical_record(id="x" * 600), "id has 600 characters"),
        (b'{"id": "a", "text": "x"}', "no created_at"),
        (canonical_record(created_at="yesterday"), "created_at is not a time: 'yesterday'"),
        (canonical_record(created_at="0001-01-01T00:00:00Z"), "created_at is not a time"),
        (canonical_record(text=None), "neither text nor media"),
        (canonical_record(text=7), "text is a number"),
        (b"[" * 100_000, "nested too deeply"),
        (canonical_record()[:-1] + b', "more": ' + b"[" * 100_000, "nested too deeply"),
    ],
)
def test_what_cannot_be_read_says_why(value: bytes, reason: str) -> None:
    with pytest.raises(Unreadable) as error:
        canonical.decode(value)
    assert reason in str(error.value)


def test_a_number_of_too_many_digits_costs_its_field() -> None:
    record = canonical_record()[:-1] + b', "more": ' + b"9" * 5000 + b', "lang": ' + b"9" * 5000
    assert canonical.decode(record + b"}").lang is None


@pytest.mark.parametrize("text", ["", " \n", "\u200b\u2060", "\u3000"])
def test_a_text_without_a_visible_sign_makes_a_post(text: str) -> None:
    assert canonical.decode(canonical_record(text=text)).text == text
    found = bluesky.decode(json.dumps(commit({"text": text})).encode())
    assert isinstance(found, Post)
    assert found.text == text


@pytest.mark.parametrize(
    "wrong",
    [
        {"author": 7.5},
        {"author": {"id": None}},
        {"lang": 5},
        {"reply_to": []},
        {"platform": 1},
        {"url": {}},
    ],
)
def test_an_optional_field_of_the_wrong_type_costs_the_field_only(wrong: dict[str, object]) -> None:
    assert canonical.decode(canonical_record(**wrong)) == canonical.decode(canonical_record())


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists, max_leaves=5))
def test_any_json_is_a_post_or_unreadable(value: object) -> None:
    for decode in DECODERS.values():
        with pytest.raises(Unreadable):
            decode(json.dumps(value).encode())


@given(st.binary(max_size=60), st.integers(0, 200))
def test_any_damage_is_unreadable_or_harmless(damage: bytes, at: int) -> None:
    """Bytes written over a good record: whatever comes of it is a post, no post, or a reason."""
    good = {
        "weathervane": canonical_record(),
        "bluesky": json.dumps(commit({"text": "x"})).encode(),
    }
    for platform, value in good.items():
        try:
            DECODERS[platform](value[:at] + damage + value[at + len(damage) :])
        except Unreadable as error:
            assert str(error)


def test_a_bluesky_post_is_mapped() -> None:
    images = {
        "$type": "app.bsky.embed.images",
        "images": [
            {"alt": "a dog", "image": {"ref": {"$link": "bafk1"}, "mimeType": "image/webp"}}
        ],
    }
    record: dict[str, object] = {
        "text": "good dog",
        "createdAt": "2026-03-01T12:00:00.5Z",
        "langs": ["en-US", "de"],
        "embed": images,
        "reply": {"parent": {"uri": "at://did:plc:x/app.bsky.feed.post/1"}},
    }
    post = bluesky.decode(json.dumps(commit(record)).encode())
    assert isinstance(post, Post)
    assert post.id == "bluesky:at://did:plc:abc/app.bsky.feed.post/3kabc"
    assert post.created_at == datetime(2026, 3, 1, 12, 0, 0, 500_000, UTC)
    assert (post.lang, post.text) == ("en-US", "good dog")
    assert post.reply_to == "bluesky:at://did:plc:x/app.bsky.feed.post/1"
    assert (post.media[0].alt, post.media[0].data) == ("a dog", None)


def test_a_quote_with_pictures_has_its_pictures() -> None:
    image = {"image": {"ref": {"$link": "b"}, "mimeType": "image/jpeg"}}
    record: dict[str, object] = {
        "text": "",
        "createdAt": "2026-03-01T12:00:00Z",
        "embed": {"$type": "app.bsky.embed.recordWithMedia", "media": {"images": [image]}},
    }
    post = bluesky.decode(json.dumps(commit(record)).encode())
    assert isinstance(post, Post)
    assert [media.kind for media in post.media] == ["image"]


def test_without_a_client_time_the_servers_time_counts() -> None:
    post = bluesky.decode(json.dumps(commit({"text": "x"})).encode())
    assert isinstance(post, Post)
    assert post.created_at == datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    "event",
    [
        commit({}, collection="app.bsky.feed.like"),
        {"did": "did:plc:abc", "time_us": 1, "kind": "identity", "identity": {}},
    ],
)
def test_what_is_no_post_is_skipped(event: dict[str, object]) -> None:
    assert bluesky.decode(json.dumps(event).encode()) is None


def test_a_deleted_post_is_named_as_it_was_when_published() -> None:
    written = bluesky.decode(json.dumps(commit({"text": "x"})).encode())
    event = commit({}, operation="delete")
    del event["commit"]["record"]  # type: ignore[attr-defined]
    deleted = bluesky.decode(json.dumps(event).encode())
    assert written is not None
    assert deleted is not None
    assert (deleted.deleted, deleted.id) == (True, written.id)
    canonical_one = canonical.decode(b'{"id": "weathervane:1", "deleted": true}')
    assert (canonical_one.deleted, canonical_one.id) == (True, "weathervane:1")


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        ({"id": "weathervane:1", "text": "x"}, "not a Jetstream event"),
        (commit({"text": "x", "createdAt": "soon"}), "commit.record.createdAt is not a time"),
        (commit({"text": None}), "neither text nor media"),
        (commit({"text": "x"}, rkey=None), "no id"),
        (commit({"text": "x"}) | {"time_us": "late"}, "not a Jetstream event"),
    ],
)
def test_a_broken_bluesky_post_says_why(event: dict[str, object], reason: str) -> None:
    with pytest.raises(Unreadable) as error:
        bluesky.decode(json.dumps(event).encode())
    assert reason in str(error.value)


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="the recorded samples are not here")
def test_every_recorded_event_is_read_or_skipped() -> None:
    files = sorted((SAMPLES / "bluesky").glob("jetstream*.jsonl"))
    read = [bluesky.decode(line) for file in files for line in file.read_bytes().splitlines()]
    deleted = [post.deleted for post in read if isinstance(post, Post)]
    assert (deleted.count(False), deleted.count(True)) == (14, 1)
    assert [notice.action for notice in read if isinstance(notice, Notice)] == ["show"]


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="the recorded samples are not here")
def test_no_hostile_json_does_more_than_be_refused() -> None:
    for file in (SAMPLES / "hostile" / "json").rglob("*"):
        if file.is_file():
            for decode in DECODERS.values():
                with pytest.raises(Unreadable):
                    decode(file.read_bytes())
