"""Records that no pipeline can read, each in its own way. Each should become one dead letter."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import msgspec

from pipeline.times import epoch_ms, rfc3339
from workers.demo_posts.render import BLUESKY_TOPIC, CANONICAL_TOPIC, DemoRecord, Edition, moment
from workers.demo_posts.stored import StoredPost


def malformed(posts: list[StoredPost], edition: Edition, last: datetime) -> Iterator[DemoRecord]:
    """One record of each kind, spread over the day and none after `last`."""
    kinds = _kinds(posts, edition)
    for index, (name, value) in enumerate(kinds.items()):
        at = moment(edition.day, (index + 0.5) * 86_400 / len(kinds))
        topic = BLUESKY_TOPIC if name.startswith("bluesky") else CANONICAL_TOPIC
        key = f"demo/{edition.name}/malformed/{name}"
        yield DemoRecord(topic, key.encode(), value, at if at <= last else at - timedelta(days=1))


def _kinds(posts: list[StoredPost], edition: Edition) -> dict[str, bytes]:
    written = rfc3339(epoch_ms(moment(edition.day, 0)))

    def post(name: str, **fields: Any) -> bytes:
        whole = {
            "id": f"weathervane:demo/{edition.name}/malformed/{name}",
            "created_at": written,
            "text": "This record is broken on purpose.",
        }
        kept = {key: value for key, value in (whole | fields).items() if value is not None}
        return msgspec.json.encode(kept)

    def media(kind: str, data: bytes) -> list[dict[str, str]]:
        return [{"kind": kind, "bytes": base64.b64encode(data).decode()}]

    commit = {
        "operation": "create",
        "collection": "app.bsky.feed.post",
        "record": {"text": "Broken on purpose.", "createdAt": written},
    }
    event = {"did": "did:plc:brokenonpurpose", "time_us": 0, "kind": "commit", "commit": commit}
    picture, sound = _first(posts, "image"), _first(posts, "audio")
    return {
        "not-json": b"I am so happy today!",
        "cut-json": post("cut-json")[:-12],
        "empty": b"",
        "a-list": b"[1, 2, 3]",
        "no-id": post("no-id", id=None),
        "unreadable-time": post("unreadable-time", created_at="yesterday evening"),
        "no-text-no-media": post("no-text-no-media", text=None),
        # With words these would be scored by them.
        "truncated-jpeg": post(
            "truncated-jpeg", text=None, media=media("image", picture[: len(picture) // 2])
        ),
        "truncated-ogg": post(
            "truncated-ogg", text=None, media=media("audio", sound[: len(sound) // 2])
        ),
        "bluesky-no-rkey": msgspec.json.encode(event),
        "bluesky-not-utf8": msgspec.json.encode(
            event | {"commit": commit | {"rkey": "3n32"}}
        ).replace(b"Broken on purpose.", "这条记录是故意写坏的。".encode("gbk")),
        "bluesky-not-json": msgspec.json.encode(event)[:-20],
    }


def _first(posts: list[StoredPost], kind: str) -> bytes:
    return next(m.data for p in posts for m in p.media if m.kind == kind and m.data)
