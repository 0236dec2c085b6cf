"""Headers of records and dead letters."""

from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from kafka.record.default_records import DefaultRecordBatchBuilder

from pipeline.batches import HeaderKey, Unread
from pipeline.errors import Unreadable
from pipeline.headers import Headers, cloud_event, header, header_int
from pipeline.isolation import ROOMS
from pipeline.records import Outgoing, dead_letter, fitted, unread_letter
from pipeline.topics import LETTER_BYTES


@dataclass
class Consumed:
    """A consumed record."""

    topic: str = "posts.raw.bluesky"
    partition: int = 3
    offset: int = 42
    timestamp: int = 1
    key: bytes | None = b"k"
    value: bytes | None = b"\xff not json"
    headers: Headers = field(default_factory=lambda: [("mine", b"1")])


def redriven(letter: Outgoing) -> Consumed:
    return Consumed(key=letter.key, value=letter.value, headers=letter.headers)


def test_a_dead_letter_is_the_record_and_why() -> None:
    letter = dead_letter(Consumed(), Unreadable("not JSON"))
    assert (letter.topic, letter.key, letter.value) == (
        "posts.raw.bluesky.dlq",
        b"k",
        b"\xff not json",
    )
    assert letter.headers == [
        ("mine", b"1"),
        ("__connect.errors.topic", b"posts.raw.bluesky"),
        ("__connect.errors.partition", b"3"),
        ("__connect.errors.offset", b"42"),
        ("__connect.errors.exception.class.name", b"Unreadable"),
        ("__connect.errors.exception.message", b"not JSON"),
    ]


def test_failing_again_does_not_grow_the_headers() -> None:
    first = dead_letter(Consumed(), Unreadable("one"))
    second = dead_letter(redriven(first), Unreadable("two"))
    assert len(second.headers) == len(first.headers)
    assert header(second.headers, "__connect.errors.exception.message") == b"two"


def test_a_trace_goes_on_through_a_stage() -> None:
    trace = b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01"
    headers = cloud_event("weathervane.post", "/x", "w:1", [("traceparent", trace)], received=7)
    parent = header(headers, "traceparent")
    assert parent is not None
    assert parent[:36] == trace[:36]
    assert parent != trace
    assert parent.endswith(b"-01")
    assert header_int(headers, "ce_received") == 7
    assert header(headers, "ce_id") == b"w:1"


def test_a_broken_trace_is_replaced() -> None:
    headers = cloud_event("t", "/x", "w:1", [("traceparent", b"nonsense")])
    assert header(headers, "traceparent") != b"nonsense"
    assert header_int([("ce_received", b"soon")], "ce_received") is None


def size(letter: Outgoing) -> int:
    """As kafka-python counts it."""
    estimate = DefaultRecordBatchBuilder.estimate_size_in_bytes
    return int(estimate(letter.key, letter.value, letter.headers))


def test_a_letter_that_is_too_large_keeps_its_reason_and_its_place() -> None:
    long = Consumed(value=b"v" * 3_000_000)
    letter = dead_letter(long, Unreadable("a page"))
    assert size(letter) < LETTER_BYTES
    assert letter.value == b"v" * 4000
    assert (letter.key, letter.headers[0]) == (b"k", ("mine", b"1"))
    assert header(letter.headers, "__connect.errors.cut") == b"value (3000000 bytes)"
    assert header(letter.headers, "__connect.errors.offset") == b"42"
    again = dead_letter(redriven(letter), Unreadable("again"))
    assert header(again.headers, "__connect.errors.cut") is None


@settings(max_examples=200, deadline=None)
@given(
    key=st.none() | st.integers(0, 3_000_000),
    value=st.none() | st.integers(0, 3_000_000),
    headers=st.lists(
        st.tuples(
            st.text(max_size=9) | st.binary(max_size=9).map(HeaderKey),
            st.none() | st.integers(0, 900_000),
        ),
        max_size=5,
    ),
    reason=st.text(max_size=2000),
    room=st.sampled_from([room for room in ROOMS if room]),
)
def test_a_letter_fits_whatever_the_record_is(
    key: int | None,
    value: int | None,
    headers: list[tuple[str, int | None]],
    reason: str,
    room: int,
) -> None:
    def filled(length: int | None) -> Any:
        return None if length is None else bytes(length)

    held: Any = [(name, filled(length)) for name, length in headers]
    record = Consumed(key=filled(key), value=filled(value), headers=held)
    letter = fitted(dead_letter(record, Unreadable(reason)), room)
    assert size(letter) <= room
    for name in ("topic", "partition", "offset", "exception.class.name"):
        assert header(letter.headers, f"__connect.errors.{name}") is not None
    parts = letter.key, letter.value, letter.headers[: len(headers)]
    whole = parts == (record.key, record.value, held)
    assert whole or header(letter.headers, "__connect.errors.cut") is not None


def test_what_stands_for_unread_records_says_which() -> None:
    marks: Any = Unread("are damaged", 40)
    letter = unread_letter(Consumed(key=None, value=None, headers=marks))
    assert (letter.key, letter.value) == (None, None)
    found = {name.removeprefix("__connect.errors."): value for name, value in letter.headers}
    assert (found["offset"], found["last.offset"]) == (b"40", b"42")
    assert found["exception.message"] == b"offsets 40 to 42 are damaged"


def test_a_number_that_is_too_long_is_none() -> None:
    assert header_int([("ce_received", b"9" * 5000)], "ce_received") is None
    null: Any = [("ce_received", None)]
    assert header_int(null, "ce_received") is None
