"""Record headers: CloudEvents 1.0 (Kafka protocol binding, binary mode) and W3C Trace Context."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence

Headers = list[tuple[str, bytes]]
"""As Kafka has them; a value that another's producer wrote may be null."""

RECEIVED = "ce_received"
"""CloudEvents extension: when the raw record reached Kafka, epoch milliseconds."""
POST_PARTITION = "ce_postpartition"
POST_OFFSET = "ce_postoffset"
"""CloudEvents extensions: where in `posts` the scored post stands."""

_DIGITS = 19
"""So many may be more than 64 bits."""
_TRACEPARENT = re.compile(rb"00-([0-9a-f]{32})-[0-9a-f]{16}-([0-9a-f]{2})")


def cloud_event(
    kind: str, source: str, key: str, parent: Sequence[tuple[str, bytes]], **extensions: int
) -> Headers:
    """Headers of a new record that continues the trace of its `parent`'s headers."""
    headers = [
        ("ce_specversion", b"1.0"),
        ("ce_id", key.encode()),
        ("ce_type", kind.encode()),
        ("ce_source", source.encode()),
        ("content-type", b"application/json"),
        ("traceparent", _next_span(header(parent, "traceparent"))),
    ]
    return headers + [(f"ce_{name}", b"%d" % value) for name, value in extensions.items()]


def header(headers: Sequence[tuple[str, bytes]], name: str) -> bytes | None:
    """The last header of this name, or None."""
    return next((value for key, value in reversed(headers) if key == name), None)


def header_int(headers: Sequence[tuple[str, bytes]], name: str) -> int | None:
    """The header as a whole number; None where absent or not a number."""
    value = header(headers, name)
    is_number = value is not None and len(value) < _DIGITS and value.isdigit()
    return int(value) if value is not None and is_number else None


def _next_span(parent: bytes | None) -> bytes:
    match = _TRACEPARENT.fullmatch(parent) if parent else None
    trace, flags = match.groups() if match else (secrets.token_hex(16).encode(), b"00")
    return b"00-%s-%s-%s" % (trace, secrets.token_hex(8).encode(), flags)
