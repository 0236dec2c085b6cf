"""Records of our topics that another's program wrote: absurd ones are refused, in a sentence."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import redis

from pipeline.buckets import Scored
from pipeline.event import SentimentEvent, event_decoder
from pipeline.fold import Folder
from pipeline.platforms import DECODERS
from pipeline.post import IngestedPost, Post, encoder, posts_decoder
from pipeline.shedding import shed_decoder
from pipeline.store import Store, connect
from tests.pipeline.events import ARRIVAL_MS, scored

LONG = "x" * 1_000_000

ABSURD: list[tuple[str, bytes, str]] = [
    ("weight", b"1e300", "$.weight"),
    ("weight", b"1e999", "out of range"),
    ("weight", b"-3", "$.weight"),
    ("weight", b"NaN", "malformed"),
    ("sentiment", b"1e300", "$.sentiment"),
    ("sentiment", b"-1.5", "$.sentiment"),
    ("conflict", b"1e300", "$.conflict"),
    ("confidence", b"-1e300", "$.confidence"),
    ("emotions.joy", b"7", "$.emotions.joy"),
    ("polarity.positive", b"-0.5", "$.polarity.positive"),
    ("created_at", b'"9999-12-31T23:59:59-14:00"', "The year 9999 is out of bounds, 1990 to 2100"),
    ("created_at", b'"0001-01-01T00:00:00+14:00"', "The year 1 is out of bounds, 1990 to 2100"),
    ("tracks", b'["all", "a\\nb"]', "name is not printable"),
    ("tracks", b'["all\\n"]', "name is not printable"),
    ("tracks", b'["all", "all"]', "A track is named twice"),
    ("tracks", msgspec.json.encode([f"t{n}" for n in range(10_000)]), "$.tracks"),
    ("tracks", msgspec.json.encode([LONG]), "$.tracks"),
    ("id", msgspec.json.encode(LONG), "$.id"),
    ("id", b'""', "$.id"),
    ("lang", msgspec.json.encode(LONG), "$.lang"),
    ("platform", msgspec.json.encode(LONG), "$.platform"),
    ("revision", b"99999999999999999999", "$.revision"),
    ("repost_of", msgspec.json.encode(LONG), "$.repost_of"),
    ("deleted_with", msgspec.json.encode([f"w:{n}" for n in range(5_000)]), "$.deleted_with"),
]


def event_with(name: str, value: bytes) -> bytes:
    """A good event but for one field, or one in a field."""
    fields = msgspec.json.decode(encoder.encode(scored(1, 0).event))
    outer, _, inner = name.partition(".")
    raw = msgspec.Raw(value)
    return msgspec.json.encode(fields | {outer: fields[outer] | {inner: raw} if inner else raw})


@pytest.mark.parametrize(("name", "value", "reason"), ABSURD)
def test_absurd_event_is_refused(name: str, value: bytes, reason: str) -> None:
    with pytest.raises(msgspec.DecodeError) as refused:
        event_decoder.decode(event_with(name, value))
    assert reason in str(refused.value)
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize("decoder", [posts_decoder, shed_decoder])
@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [case for case in ABSURD if case[0] in {"id", "platform", "lang", "tracks", "created_at"}],
)
def test_absurd_post_and_note_are_refused(
    decoder: Any, name: str, value: bytes, reason: str
) -> None:
    good = {
        "id": "w:1",
        "platform": "weathervane",
        "created_at": "2026-03-01T12:00:00Z",
        "shed_at": "2026-03-01T12:00:00Z",
        "lang": "en",
        "tracks": ["all"],
        "text": "so happy",
        "reason": "behind",
        "weight": 2,
    }
    assert decoder.decode(msgspec.json.encode(good)).id == "w:1"
    with pytest.raises(msgspec.DecodeError) as refused:
        decoder.decode(msgspec.json.encode(good | {name: msgspec.Raw(value)}))
    assert reason in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("weight", b"10000"),
        ("sentiment", b"-1"),
        ("created_at", b'"2100-12-31T00:00:00Z"'),
        ("created_at", b'"1990-01-01T00:00:00Z"'),
        ("tracks", msgspec.json.encode([f"t{n}" for n in range(1_000)])),
        ("tracks", '["咖啡 & Co", "😀 {p1}"]'.encode()),
        ("lang", b'"not a language"'),
        ("platform", b'"a:b|c"'),
    ],
)
def test_odd_event_within_bounds_is_counted(redis_url: str, name: str, value: bytes) -> None:
    client: redis.Redis = connect(redis_url.replace("/0", "/7"))
    client.flushdb()
    event = event_decoder.decode(event_with(name, value))
    folder = Folder(client, 3_600_000, 48 * 3_600_000)
    batch = [Scored(event, 0, ARRIVAL_MS, ARRIVAL_MS, 0, 0)]
    assert folder.fold(0, folder.position(0), batch, 1, ARRIVAL_MS).counted == 1
    store = Store(client)
    assert [store.totals()[track].posts for track in event.tracks] == [1] * len(event.tracks)
    assert {track for track, _ in store.changes("0.0-0")[0]} <= set(event.tracks)
    assert event.mood is None or store.exemplars(event.tracks[0], None, 1)[0].id == event.id


def test_what_is_optional_and_overlong_costs_itself() -> None:
    post = {
        "id": "w:1",
        "created_at": "2026-03-01T12:00:00Z",
        "text": "so happy",
        "lang": LONG,
        "url": LONG,
        "reply_to": LONG,
        "repost_of": LONG,
        "repost_author": LONG,
        "author": {"id": "a", "name": LONG},
        "deleted_with": ["w:2", LONG, *(f"w:{n}" for n in range(3, 200))],
    }
    tweet = {"id": "12", "created_at": "2026-03-01T12:00:00Z", "text": "so happy", "lang": LONG,
             "in_reply_to_status_id_str": LONG, "author_id": LONG,
             "edit_history_tweet_ids": [*(f"{n}" for n in range(1, 200)), LONG, "12"]}  # fmt: skip
    for platform, raw in (("weathervane", post), ("x", tweet)):
        found = DECODERS[platform](msgspec.json.encode(raw))
        assert isinstance(found, Post)
        assert found.text == "so happy"
        assert (found.lang, found.reply_to, found.repost_of) == (None, None, None)
        assert found.author is None or len(found.author.name or "") <= 512
        fields = msgspec.structs.asdict(found) | {"tracks": ("all",)}
        assert posts_decoder.decode(encoder.encode(IngestedPost(**fields))).id == found.id


def test_event_types_say_their_bounds() -> None:
    text = msgspec.json.encode(msgspec.json.schema(SentimentEvent)).decode()
    assert '"maximum":10000' in text
