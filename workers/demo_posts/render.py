"""A stored post as a record of `posts.raw.weathervane` or `posts.raw.bluesky`."""

from __future__ import annotations

import base64
import hashlib
import zlib
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

import msgspec

from pipeline.platforms.bluesky import POST as COLLECTION
from pipeline.post import Post, encoder
from pipeline.times import epoch_ms, rfc3339
from workers.demo_posts.stored import StoredPost

CANONICAL_TOPIC = "posts.raw.weathervane"
BLUESKY_TOPIC = "posts.raw.bluesky"
_TID_LETTERS = "234567abcdefghijklmnopqrstuvwxyz"
_TID_CHARACTERS = 13


@dataclass(frozen=True, slots=True)
class DemoRecord:
    """One record to send, and the moment at which its day sends it (UTC)."""

    topic: str
    key: bytes
    value: bytes
    at: datetime


@dataclass(frozen=True, slots=True)
class Edition:
    """What the ids of one sending have in common: the day, and the run where there are several."""

    day: date
    run: str = ""

    @property
    def name(self) -> str:
        return f"{self.day}.{self.run}" if self.run else str(self.day)


def moment(day: date, second: float) -> datetime:
    """A second of the day as a time in UTC."""
    return datetime.combine(day, time(), UTC) + timedelta(seconds=second)


def render(post: StoredPost, edition: Edition, at: datetime) -> DemoRecord:
    """The record of one post. A third of those with text alone look like Bluesky's."""
    if not post.media and zlib.crc32(post.id.encode()) % 3 == 0:
        return _bluesky(post, edition, at)
    canonical_id = f"weathervane:demo/{edition.name}/{post.id}"
    value = encoder.encode(
        Post(
            id=canonical_id,
            created_at=at,
            author=post.author,
            lang=post.lang,
            text=post.text,
            media=post.media,
        )
    )
    return DemoRecord(CANONICAL_TOPIC, canonical_id.encode(), value, at)


def _bluesky(post: StoredPost, edition: Edition, at: datetime) -> DemoRecord:
    """A Jetstream event. Repository, keys and content id are made up, in the shape of real ones."""
    did = f"did:plc:{_base32(post.author.id + edition.run)[:24]}"
    # From the day alone, so that the id of a post does not depend on when the day is sent.
    rkey = _tid(moment(edition.day, post.second), zlib.crc32(post.id.encode()))
    event = {
        "did": did,
        "time_us": epoch_ms(at) * 1000,
        "kind": "commit",
        "commit": {
            "rev": rkey,
            "operation": "create",
            "collection": COLLECTION,
            "rkey": rkey,
            "record": {
                "$type": COLLECTION,
                "createdAt": rfc3339(epoch_ms(at)),
                "langs": [post.lang],
                "text": post.text,
            },
            "cid": f"bafyrei{_base32(post.id)[:52]}",
        },
    }
    key = f"bluesky:at://{did}/{COLLECTION}/{rkey}"
    return DemoRecord(BLUESKY_TOPIC, key.encode(), msgspec.json.encode(event), at)


def _base32(text: str) -> str:
    return base64.b32encode(hashlib.sha256(text.encode()).digest()).decode().lower()


def _tid(at: datetime, clock: int) -> str:
    """A record key: 53 bits of microseconds and 10 of a clock id (atproto.com/specs/tid)."""
    number = epoch_ms(at) * 1000 << 10 | clock & 0x3FF
    shifts = range(5 * (_TID_CHARACTERS - 1), -1, -5)
    return "".join(_TID_LETTERS[number >> shift & 31] for shift in shifts)
