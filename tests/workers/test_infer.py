"""The infer transform and its device process, with the shipped model."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from models.errors import ItemError
from models.prepare import Item, Prepared, Preparer
from models.release import DEFAULT_RELEASE
from pipeline.errors import WeathervaneError
from pipeline.event import Polarity, event_decoder
from pipeline.post import Author, IngestedPost, Media, encoder
from pipeline.shedding import Shedding, keeps, shed_decoder
from pipeline.telemetry import Telemetry
from tests.models.samples import png
from tests.pipeline.test_records import Consumed
from workers.device import Device
from workers.infer import Infer, _polarity

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TIMEOUT_SECONDS = 5.0


@pytest.fixture(scope="module")
def preparer() -> Preparer:
    return Preparer.load(DEFAULT_RELEASE)


@pytest.fixture(scope="module")
def device() -> Iterator[Device]:
    with Device(DEFAULT_RELEASE, "cpu", TIMEOUT_SECONDS) as device:
        yield device


def record(offset: int, post: IngestedPost | bytes) -> Consumed:
    value = post if isinstance(post, bytes) else encoder.encode(post)
    return Consumed("posts", 2, offset, 5000, b"k%d" % offset, value, [("ce_received", b"4000")])


def post(
    number: int,
    text: str | None = "I am so happy today!",
    *,
    author: Author | None = None,
    lang: str | None = None,
    media: tuple[Media, ...] = (),
) -> IngestedPost:
    return IngestedPost(
        id=f"w:{number}",
        created_at=NOW,
        platform="bluesky",
        text=text,
        tracks=("all",),
        author=author,
        lang=lang,
        media=media,
    )


def test_each_post_has_an_event_or_a_dead_letter(preparer: Preparer, device: Device) -> None:
    infer = Infer(preparer, device, "pepper", Telemetry("infer"))
    broken = Media(kind="image", mime="image/jpeg", data=b"no picture")
    answers = infer(
        [
            record(0, post(0, author=Author("someone"))),
            record(1, b"{"),
            record(2, post(2, None, media=(broken,))),
            record(3, post(3, "气死我了,太过分了!", lang="zh")),
            record(4, post(4, None, media=(Media(kind="image", url="https://example.invalid"),))),
            record(5, post(5, media=(broken, broken))),
        ]
    )
    topics = [answer.topic for answer in answers]
    assert topics == ["sentiment", "posts.dlq", "posts.dlq", *3 * ["sentiment"]]
    happy, angry, nothing, kept = (
        event_decoder.decode(a.value or b"") for a in answers if a.topic == "sentiment"
    )
    assert (happy.dominant, happy.polarity.dominant) == ("joy", "positive")
    assert angry.polarity.dominant == "negative"
    assert happy.model == device.model
    assert happy.author not in (None, "someone")
    assert (nothing.modalities, nothing.abstained) == ((), True)
    assert kept.modalities == ("text",)
    assert [(u.index, u.reason) for u in kept.unread_media] == [(0, "damaged"), (1, "over_limit")]
    headers = dict(answers[0].headers)
    assert headers["ce_postpartition"] == b"2"
    assert headers["ce_postoffset"] == b"0"
    assert headers["ce_received"] == b"4000"
    assert not {"text", "media"} & json.loads(answers[0].value or b"").keys()


SILENT = (
    post(0, "https://t.co/abcdefghij"),
    post(1, "RT @newsbot: https://t.co/abcdefghij"),
    post(2, "\u200b"),
    post(3, "转发微博"),
    post(4, "", media=(Media(kind="image", url="https://pics.example/1.jpg"),)),
    post(5, None, media=(Media(kind="video", url="https://pics.example/1.mp4"),)),
)


def test_of_a_post_of_which_nothing_is_read_nothing_is_claimed(
    preparer: Preparer, device: Device
) -> None:
    infer = Infer(preparer, device, None, Telemetry("infer"))
    answers = infer([record(n, each) for n, each in enumerate([*SILENT, post(9)])])
    assert {answer.topic for answer in answers} == {"sentiment"}
    *silent, happy = (event_decoder.decode(answer.value or b"") for answer in answers)
    assert (happy.dominant, happy.unread, happy.mood) == ("joy", False, "joy")
    for event in silent:
        assert event.unread
        assert (event.modalities, event.dominant, event.abstained) == ((), None, True)
        assert set(msgspec.structs.astuple(event.emotions)) == {0.0}
        assert event.polarity == Polarity(0.0, 1.0, 0.0)
        assert (event.sentiment, event.confidence, event.conflict) == (0.0, 0.0, 0.0)
        assert event.by_modality == {}
    assert json.loads(answers[0].value or b"")["dominant"] is None


def test_what_cannot_be_read_does_not_go_to_the_model(preparer: Preparer) -> None:
    """This device has no process, and would start one to be asked anything."""
    states: list[bool] = []
    device = Device(Path("there is no such release"), "cpu", TIMEOUT_SECONDS, states.append)
    answers = Infer(preparer, device, None, Telemetry("infer"))(
        [record(n, each) for n, each in enumerate(SILENT)]
    )
    assert [answer.topic for answer in answers] == ["sentiment"] * len(SILENT)
    assert states == []


def test_a_picture_beside_a_link_is_scored_alone(preparer: Preparer, device: Device) -> None:
    infer = Infer(preparer, device, None, Telemetry("infer"))
    picture = Media(kind="image", mime="image/png", data=png())
    [answer] = infer([record(0, post(0, "https://t.co/abcdefghij", media=(picture,)))])
    event = event_decoder.decode(answer.value or b"")
    assert event.modalities == tuple(event.by_modality) == ("image",)
    assert event.dominant is not None


def test_what_is_read_too_late_is_shed_by_its_id_and_the_rest_has_its_weight(
    preparer: Preparer, device: Device
) -> None:
    telemetry = Telemetry("infer")
    infer = Infer(preparer, device, None, telemetry, Shedding(start=30, full=120))
    # The records are decades old.
    answers = infer([record(n, post(n, "hello")) for n in range(300)] + [record(300, b"{")])
    shed = [shed_decoder.decode(a.value or b"") for a in answers if a.topic == "shed"]
    events = [event_decoder.decode(a.value or b"") for a in answers if a.topic == "sentiment"]
    assert len(shed) + len(events) == 300
    assert [a.topic for a in answers].count("posts.dlq") == 1
    assert {note.id for note in shed} == {f"w:{n}" for n in range(300) if not keeps(f"w:{n}", 100)}
    assert {note.weight for note in shed} | {event.weight for event in events} == {100.0}
    assert {note.tracks for note in shed} == {("all",)}
    assert "s behind" in shed[0].reason
    counted = telemetry.registry.get_sample_value
    assert counted("weathervane_shed_total", {"stage": "infer"}) == len(shed)
    assert counted("weathervane_sampling_weight", {"stage": "infer"}) == 100


def test_what_does_not_fit_in_memory_is_halved_and_the_item_that_never_fits_is_an_error() -> None:
    """A real limit: 80 texts do not fit in one pass, and 15 s of sound in none.

    Nor do the kernels for texts of all lengths fit in one process.
    """
    states: list[bool] = []
    text = Prepared(tokens=np.arange(5, 29, dtype=np.int32))
    longer = [Prepared(tokens=np.arange(5, 5 + n, dtype=np.int32)) for n in range(40, 129, 8)]
    sound = Prepared(mel=np.zeros((80, 1500), np.float16))
    with Device(DEFAULT_RELEASE, "cpu", 60, states.append, memory_mib=12) as device:
        answers = device.predict([sound, *longer] + [text] * 80)
        assert isinstance(answers[0], ItemError)
        assert "no memory for this item" in answers[0].reason
        assert not any(isinstance(answer, ItemError) for answer in answers[1:])
        [small] = device.predict([text])
    assert not isinstance(small, ItemError)
    assert [state for state, _ in groupby(states)][:3] == [True, False, True]


def test_the_author_is_a_salted_hash_or_nobody(preparer: Preparer, device: Device) -> None:
    def author(salt: str | None, name: str) -> str | None:
        infer = Infer(preparer, device, salt, Telemetry("infer"))
        [answer] = infer([record(0, post(0, author=Author(name)))])
        return event_decoder.decode(answer.value or b"").author

    assert author("pepper", "a") == author("pepper", "a")
    assert len({author("pepper", "a"), author("salt", "a"), author("pepper", "b")}) == 3
    assert author(None, "a") is None


@given(
    st.lists(st.floats(0.0, 1.0, width=32), min_size=3, max_size=3).filter(lambda v: sum(v) > 0.1)
)
@example([0.50005, 0.0, 0.49995])
def test_polarity_sums_to_one_after_rounding(raw: list[float]) -> None:
    shares = np.array(raw, np.float64) / sum(raw)
    polarity = _polarity(shares)
    assert abs(polarity.negative + polarity.neutral + polarity.positive - 1) < 1e-9
    assert min(polarity.negative, polarity.neutral, polarity.positive) >= 0
    assert abs(polarity.positive - shares[2]) < 2e-4


@pytest.mark.parametrize("fault", [signal.SIGKILL, signal.SIGSTOP])
def test_a_device_that_dies_or_hangs_is_replaced_and_the_batch_sent_again(
    preparer: Preparer, fault: signal.Signals
) -> None:
    states: list[bool] = []
    batch = [p for p in preparer.prepare([Item("hello")] * 3) if not hasattr(p, "reason")]
    with Device(DEFAULT_RELEASE, "cpu", TIMEOUT_SECONDS, states.append) as device:
        before, pid = device.predict(batch), device.pid
        assert pid is not None
        os.kill(pid, fault)
        after = device.predict(batch)
        assert device.pid != pid
    assert [p.dominant for p in before] == [p.dominant for p in after]
    assert [state for state, _ in groupby(states)] == [True, False, True]
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_release_that_cannot_be_trusted_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeathervaneError, match="the model cannot be loaded: "):
        Device(tmp_path, "cpu", TIMEOUT_SECONDS).start()
