"""Headers of records and dead letters."""

from dataclasses import dataclass, field

from pipeline.errors import Unreadable
from pipeline.headers import Headers, cloud_event, header, header_int
from pipeline.records import Outgoing, dead_letter


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
