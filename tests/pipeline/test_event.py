"""The sentiment event: what a post counts for, also where another version wrote the event."""

from __future__ import annotations

import msgspec
import pytest

from pipeline.event import event_decoder
from tests.pipeline.events import scored


def fields(number: int = 1) -> dict[str, object]:
    found: dict[str, object] = msgspec.json.decode(msgspec.json.encode(scored(number, 0).event))
    return found


@pytest.mark.parametrize(
    ("changed", "unread", "counts"),
    [
        ({"dominant": "joy", "abstained": False}, False, True),
        ({"dominant": "joy", "abstained": True}, False, False),
        ({"dominant": None, "abstained": True, "modalities": []}, True, False),
        # As the version before wrote of a picture that it had not.
        ({"dominant": "joy", "abstained": True, "modalities": []}, True, False),
    ],
)
def test_a_post_counts_for_an_emotion_or_not(
    changed: dict[str, object], unread: bool, counts: bool
) -> None:
    event = event_decoder.decode(msgspec.json.encode(fields() | changed))
    assert event.unread is unread
    assert event.mood == (changed["dominant"] if counts else None)


def test_events_of_the_version_before_are_read() -> None:
    old = fields()
    for name in ("unread_media", "weight", "revision", "edited_at"):
        del old[name]
    assert event_decoder.decode(msgspec.json.encode(old)).mood == scored(1, 0).event.mood
