"""The ingest transform by itself: records in, posts and dead letters out."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pipeline.deletion import deletion_decoder
from pipeline.media import MediaCleaner
from pipeline.post import IngestedPost, Media, UnreadMedia, posts_decoder
from pipeline.records import Outgoing
from pipeline.telemetry import Telemetry
from pipeline.tracks import TrackFile
from tests.pipeline.test_records import Consumed
from workers.ingest import MAX_CLEANED, Ingest, _fitting


@pytest.fixture(scope="module")
def cleaner() -> Iterator[MediaCleaner]:
    with MediaCleaner() as cleaner:
        yield cleaner


@pytest.fixture
def telemetry() -> Telemetry:
    return Telemetry("ingest")


@pytest.fixture
def ingest(cleaner: MediaCleaner, telemetry: Telemetry, tmp_path: Path) -> Ingest:
    tracks = tmp_path / "tracks.toml"
    tracks.write_text('[[track]]\nname = "cats"\nany = ["cat"]\n')
    return Ingest(TrackFile(tracks), cleaner, telemetry)


def record(offset: int, topic: str = "posts.raw.weathervane", **fields: Any) -> Consumed:
    post = {"id": f"w:{offset}", "created_at": "2026-03-01T12:00:00Z", "text": "a cat"} | fields
    return Consumed(topic, 0, offset, 1000 + offset, b"k", json.dumps(post).encode(), [])


def png(size: tuple[int, int] = (900, 600)) -> str:
    out = BytesIO()
    image = Image.new("RGB", size, "teal")
    image.paste("white", (0, 0, size[0] // 2, size[1]))
    image.save(out, "PNG")
    return base64.b64encode(out.getvalue()).decode()


def flat() -> bytes:
    out = BytesIO()
    Image.new("RGB", (40, 40), "teal").save(out, "PNG")
    return out.getvalue()


def reason(out: Outgoing) -> str:
    return dict(out.headers)["__connect.errors.exception.message"].decode()


def test_each_record_has_one_answer_and_a_bad_one_harms_no_other(
    ingest: Ingest, telemetry: Telemetry
) -> None:
    cut = base64.b64encode(base64.b64decode(png())[:700]).decode()
    done = ingest(
        [
            record(0),
            Consumed("posts.raw.weathervane", 0, 1, 0, b"k", b"{", []),
            record(2, text=None, media=[{"kind": "image", "bytes": cut}]),
            record(3, media=[{"kind": "image", "bytes": png()}]),
            record(4, topic="posts.raw.myspace"),
            record(5, deleted=True),
            record(6, text="a dog"),
        ]
    )
    answers = done.answers
    assert done.handled == 7
    assert [a.topic for a in answers] == [
        "posts",
        "posts.raw.weathervane.dlq",
        "posts.raw.weathervane.dlq",
        "posts",
        "posts.raw.myspace.dlq",
        "deletions",
        "posts",
    ]
    assert reason(answers[2]).startswith("media[0]: ")
    assert "myspace" in reason(answers[4])
    assert deletion_decoder.decode(answers[5].value or b"").id.encode() == answers[5].key
    posts = [posts_decoder.decode(a.value or b"") for a in answers if a.topic == "posts"]
    assert [p.tracks for p in posts] == [("all", "cats"), ("all", "cats"), ("all",)]
    for outcome, count in {"ok": 3, "dead_lettered": 3, "deleted": 1}.items():
        labels = {"stage": "ingest", "outcome": outcome}
        assert telemetry.registry.get_sample_value("weathervane_records_total", labels) == count


def test_media_are_made_small_and_what_is_not_cleaned_does_not_go_on(ingest: Ingest) -> None:
    media: list[dict[str, Any]] = [{"kind": "image", "bytes": png()}] * (MAX_CLEANED + 1)
    media.insert(1, {"kind": "video", "bytes": "AAAA", "url": "https://example.invalid/v"})
    [answer] = ingest([record(0, media=media)]).answers
    post = posts_decoder.decode(answer.value or b"")
    assert [m.data is not None for m in post.media] == [True, False, True, True, False, False]
    image = Image.open(BytesIO(post.inline("image") or b""))
    assert (image.format, image.size) == ("JPEG", (256, 171))
    assert post.media[1].url == "https://example.invalid/v"


def test_a_post_knows_when_its_record_arrived(ingest: Ingest) -> None:
    [answer] = ingest([record(7)]).answers
    headers = dict(answer.headers)
    assert headers["ce_received"] == b"1007"
    assert headers["ce_id"] == answer.key == b"w:7"


def test_media_that_take_too_long_are_left_for_the_next_batch(
    ingest: Ingest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.ingest.MEDIA_SECONDS", 0.0)
    media = [{"kind": "image", "bytes": png()}]
    records = [record(n, media=media) if n % 2 else record(n) for n in range(6)]
    left, rounds = list(records), []
    while left:
        done = ingest(left)
        rounds.append(done.handled)
        assert [a.key for a in done.answers] == [f"w:{r.offset}".encode() for r in left][
            : done.handled
        ]
        left = left[done.handled :]
    assert rounds == [1, 2, 2, 1]


PICTURE = base64.b64decode(png())
GOOD = {"kind": "image", "bytes": base64.b64encode(PICTURE).decode()}
BAD: dict[str, tuple[Any, str]] = {
    "cut": ({"kind": "image", "bytes": base64.b64encode(PICTURE[:700]).decode()}, "damaged"),
    "foreign": ({"kind": "image", "bytes": base64.b64encode(b"8BPS").decode()}, "unknown_format"),
    "of another kind": ({"kind": "audio", "bytes": GOOD["bytes"]}, "wrong_kind"),
    "empty": ({"kind": "image", "bytes": ""}, "empty"),
    "no base64": ({"kind": "image", "bytes": "%%%"}, "bad_encoding"),
    "a number": ({"kind": "image", "bytes": 7}, "bad_encoding"),
    "a list": ({"kind": "audio", "bytes": [1, 2]}, "bad_encoding"),
    "a data address without base64": (GOOD | {"bytes": "data:image/png,AAAA"}, "bad_encoding"),
    "no base64 at its end": (GOOD | {"bytes": GOOD["bytes"] + "é"}, "bad_encoding"),
    "one character": (GOOD | {"bytes": "A"}, "bad_encoding"),
    "empty without a kind": ({"bytes": ""}, "empty"),
    "an empty data address": (GOOD | {"bytes": "data:image/png;base64,"}, "empty"),
    "blank": (GOOD | {"bytes": " \n"}, "empty"),
    "of an unknown kind": ({"kind": "poll", "bytes": "AAAA"}, "unknown_format"),
    "a sound by its type": ({"mime": "audio/wav", "bytes": GOOD["bytes"]}, "wrong_kind"),
    "no object": ("picture.png", "malformed"),
    "null": (None, "malformed"),
    "without anything": ({"kind": "image"}, "malformed"),
}
ONE_COLOUR = base64.b64encode(flat()).decode()
LEFT: dict[str, tuple[Any, str]] = {
    "by address": ({"kind": "image", "url": "https://example.invalid/p"}, "not_fetched"),
    "a film": ({"kind": "video", "bytes": "AAAA"}, "not_supported"),
    "a film by its type": ({"mime": "video/mp4", "bytes": "AAAA"}, "not_supported"),
    "of one colour": ({"kind": "image", "bytes": ONE_COLOUR}, "blank"),
    "by address without a kind": ({"url": "https://example.invalid/p"}, "not_fetched"),
}


def written(answer: Outgoing) -> IngestedPost:
    assert answer.topic == "posts", reason(answer)
    return posts_decoder.decode(answer.value or b"")


@pytest.mark.parametrize("name", BAD | LEFT)
def test_a_text_survives_its_attachment(ingest: Ingest, telemetry: Telemetry, name: str) -> None:
    item, word = (BAD | LEFT)[name]
    [answer] = ingest([record(0, media=[GOOD, item, GOOD])]).answers
    post = written(answer)
    assert post.text == "a cat"
    assert [(u.index, u.reason) for u in post.unread_media] == [(1, word)]
    assert [media.data is not None for media in post.media] == [True, False, True]
    labels = {"stage": "ingest", "kind": post.unread_media[0].kind, "reason": word}
    assert telemetry.registry.get_sample_value("weathervane_unread_media_total", labels) == 1


PLAIN = GOOD["bytes"]
SPELT: dict[str, dict[str, Any]] = {
    "no kind": {"bytes": PLAIN},
    "no kind, with a type": {"mime": "image/png", "bytes": PLAIN},
    "an unknown kind": {"kind": "photo", "bytes": PLAIN},
    "an unknown kind and type": {"kind": 7, "mime": "application/x", "bytes": PLAIN},
    "in capitals": {"kind": "Image", "mime": "AUDIO/WAV", "bytes": PLAIN},
    "in lines": GOOD | {"bytes": base64.encodebytes(PICTURE).decode()},
    "in lines of CRLF": GOOD
    | {"bytes": base64.encodebytes(PICTURE).decode().replace("\n", "\r\n")},
    "without padding": GOOD | {"bytes": PLAIN.rstrip("=")},
    "for URLs": GOOD | {"bytes": base64.urlsafe_b64encode(PICTURE).decode().rstrip("=")},
    "a data address": GOOD | {"bytes": "data:image/png;base64," + PLAIN},
    "a data address alone": {"bytes": "data:image/png;base64," + PLAIN},
    "a data address, escaped": {"bytes": "DATA:;base64," + PLAIN.replace("/", "%2F")},
}


@pytest.mark.parametrize("name", SPELT)
def test_an_attachment_may_be_written_otherwise(ingest: Ingest, name: str) -> None:
    post = written(ingest([record(0, text=None, media=[SPELT[name]])]).answers[0])
    assert not post.unread_media
    assert [media.kind for media in post.media] == ["image"]
    assert post.inline("image")


@pytest.mark.parametrize(
    ("item", "said"),
    [
        (None, "it is no object with kind and bytes or url"),
        ({"kind": "image"}, "it is no object with kind and bytes or url"),
        (GOOD | {"bytes": 7}, "its bytes are not base64"),
    ],
)
def test_a_dead_letter_says_what_its_attachment_is(ingest: Ingest, item: Any, said: str) -> None:
    [answer] = ingest([record(0, text=None, media=[item])]).answers
    assert reason(answer) == f"media[0]: {said}; there is no text to score"


def test_a_post_of_one_colour_alone_is_unread_and_no_dead_letter(ingest: Ingest) -> None:
    media = [{"kind": "image", "bytes": ONE_COLOUR}]
    post = written(ingest([record(0, text=None, media=media)]).answers[0])
    assert post.unread_media == (UnreadMedia(0, "image", "blank"),)


@pytest.mark.parametrize("name", BAD)
def test_a_dead_letter_where_nothing_is_left(ingest: Ingest, name: str) -> None:
    for text in (None, " "):
        [answer] = ingest([record(0, text=text, media=[BAD[name][0]])]).answers
        assert answer.topic == "posts.raw.weathervane.dlq"
        assert reason(answer).startswith("media[0]: ")


@pytest.mark.parametrize("name", LEFT)
def test_what_is_merely_not_read_is_no_dead_letter(ingest: Ingest, name: str) -> None:
    media = [BAD["cut"][0], LEFT[name][0]]
    post = written(ingest([record(0, text=None, media=media)]).answers[0])
    assert [u.reason for u in post.unread_media] == ["damaged", LEFT[name][1]]


@pytest.mark.parametrize("media", [{"kind": "image"}, "a text", 7])
def test_media_that_are_no_list_cost_no_text(ingest: Ingest, media: Any) -> None:
    post = written(ingest([record(0, media=media)]).answers[0])
    assert [(u.index, u.reason) for u in post.unread_media] == [(0, "malformed")]


def test_a_deletion_needs_no_readable_media(ingest: Ingest) -> None:
    [answer] = ingest([record(0, text=None, deleted=True, media=[BAD["cut"][0]])]).answers
    assert answer.topic == "deletions"


def test_what_does_not_fit_loses_its_largest_attachment() -> None:
    media = tuple(Media(kind="image", data=bytes(size)) for size in (100, 900_000, 700_000))
    post = _fitting(IngestedPost(id="w:1", created_at=datetime.now(UTC), text="x", media=media))
    assert [m.data is not None for m in post.media] == [True, False, True]
    assert post.unread_media == (UnreadMedia(1, "image", "too_large"),)
