"""JSON that is nearly right: what it means is read, what stands for no character is U+FFFD."""

from __future__ import annotations

import json

import pytest

from pipeline.errors import Unreadable
from pipeline.platforms import DECODERS, canonical
from pipeline.post import Post

HEAD = b'{"id": "weathervane:1", "created_at": "2026-01-26T10:00:00Z", "text": "'


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (rb"so sad \ud83d\u2026", "so sad \ufffd…"),
        (rb"so sad \ud83d", "so sad \ufffd"),
        (rb"\ude00 so sad", "\ufffd so sad"),
        (rb"\ude00\ud83d", "\ufffd\ufffd"),
        (rb"\ud83d\ude00 and \ud83d", "😀 and \ufffd"),
        (rb"a backslash \\ud83d \ud83d", "a backslash \\ud83d \ufffd"),
        (b"\xed\xa0\xbd\xed\xb8\x80 in CESU-8", "😀 in CESU-8"),
        (b"half \xed\xa0\xbd of it", "half \ufffd of it"),
        (b"cut \xf0\x9f\x98", "cut \ufffd"),
        (b"caf\xe9", "caf\ufffd"),
        (b"overlong \xc0\x80", "overlong \ufffd\ufffd"),
        (b"a \x00 byte", "a \x00 byte"),
        (b"two\nlines", "two\nlines"),
    ],
)
def test_what_is_no_character_is_replaced(written: bytes, meant: str) -> None:
    assert canonical.decode(HEAD + written + b'"}').text == meant


@pytest.mark.parametrize(
    "platform_and_record",
    [
        ("weathervane", {"id": "H", "created_at": 1769421600, "text": "H", "lang": "H"}),
        ("weathervane", {"id": "a", "created_at": 1769421600, "text": "a", "author": {"id": "H"}}),
        (
            "weathervane",
            {"id": "a", "created_at": 1769421600, "media": [{"kind": "image", "alt": "H"}]},
        ),
        ("x", {"id": "5", "created_at": "2026-01-26T10:00:00Z", "text": "H", "user": {"id": "H"}}),
        ("mastodon", {"id": "H", "created_at": "2026-01-26T10:00:00Z", "content": "H", "url": "H"}),
        (
            "mastodon",
            {
                "event": "update",
                "payload": json.dumps(
                    {"id": "7", "created_at": "2026-01-26T10:00:00Z", "content": "\ud83d sad"}
                ),
            },
        ),
        (
            "weibo",
            {"id": 4, "created_at": "2026-01-26T10:00:00Z", "text": "H", "user": {"id": "H"}},
        ),
        (
            "bluesky",
            {
                "did": "did:plc:H",
                "time_us": 1,
                "kind": "commit",
                "commit": {
                    "operation": "create",
                    "collection": "app.bsky.feed.post",
                    "rkey": "H",
                    "record": {"text": "H", "createdAt": "2026-01-26T10:00:00Z", "tags": ["H"]},
                },
            },
        ),
    ],
)
def test_every_platform_is_read_with_half_characters(
    platform_and_record: tuple[str, dict[str, object]],
) -> None:
    platform, record = platform_and_record
    value = (
        json.dumps(record).replace('"H"', r'"so \ud83d"').replace("plc:H", r"plc:\ude00").encode()
    )
    assert b"\\ud83d" in value
    post = DECODERS[platform](value)
    assert isinstance(post, Post)
    assert "\ufffd" in str(post)
    str(post).encode()


@pytest.mark.parametrize("platform", DECODERS)
def test_a_byte_order_mark_is_no_character(platform: str) -> None:
    records = {
        "weathervane": HEAD + b'sad"}',
        "x": b'{"id": "5", "created_at": "2026-01-26T10:00:00Z", "text": "sad"}',
        "mastodon": b'{"id": "5", "created_at": "2026-01-26T10:00:00Z", "content": "sad"}',
        "weibo": b'{"id": "5", "created_at": "2026-01-26T10:00:00Z", "text": "sad"}',
        "bluesky": json.dumps(
            {
                "did": "did:plc:a",
                "kind": "commit",
                "commit": {
                    "operation": "create",
                    "collection": "app.bsky.feed.post",
                    "rkey": "a",
                    "record": {"text": "sad", "createdAt": "2026-01-26T10:00:00Z"},
                },
            }
        ).encode(),
    }
    value = records[platform]
    post = DECODERS[platform](value)
    assert isinstance(post, Post)
    text = value.decode()
    wrapped = [
        b"\xef\xbb\xbf" + value,
        b"\xef\xbb\xbf\xef\xbb\xbf" + value,
        value + b"\x00\x00",
        *(text.encode(name) for name in ("utf-16", "utf-16-le", "utf-16-be", "utf-32")),
    ]
    for other in wrapped:
        assert DECODERS[platform](other) == post


@pytest.mark.parametrize(
    "value",
    [b"\xef\xbb\xbf", b"\xff\xfe", b"\x00" * 9, b"{", b"\xff" * 9, '["a"]'.encode("utf-16")],
)
def test_what_means_nothing_is_refused(value: bytes) -> None:
    for decode in DECODERS.values():
        with pytest.raises(Unreadable, match="JSON"):
            decode(value)


def test_a_text_in_another_encoding_is_refused_and_not_read_as_signs() -> None:
    for text, encoding in (("气死我了，真恶心", "gbk"), ("так грустно", "cp1251")):
        with pytest.raises(Unreadable, match="not UTF-8 at byte"):
            canonical.decode(HEAD + text.encode(encoding) + b'"}')
