"""Event times as the platforms write them, brought to UTC."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import msgspec

from pipeline.errors import Unreadable

AwareTime = Annotated[datetime, msgspec.Meta(tz=True)]
"""A time with its offset; RFC 3339 in JSON."""

_UNITS = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3), (0.0, 1.0))
YEARS = range(1990, 2101)
"""Of event times; another is a mistake of whoever wrote it."""


def parse_time(value: object, field: str = "created_at") -> datetime:
    """Read an RFC 3339 text, or an epoch number in seconds, milli-, micro- or nanoseconds.

    A text without an offset is taken as UTC. Digits beyond microseconds are dropped.

    Raises:
        Unreadable: with the field, the value and what is expected.
    """
    moment: datetime | None = None
    try:
        if isinstance(value, datetime):
            moment = value
        elif isinstance(value, str):
            moment = datetime.fromisoformat(value.strip())
        elif isinstance(value, int | float) and not isinstance(value, bool):
            unit = next((unit for least, unit in _UNITS if abs(value) >= least), 1.0)  # NaN: none
            moment = datetime.fromtimestamp(value / unit, UTC)
    except (ValueError, OverflowError, OSError):
        moment = None
    if moment is None or moment.year not in YEARS:
        raise Unreadable(
            f"{field} is not a time: {_shown(value)}; expected RFC 3339, like 2026-01-31T12:00:00Z"
        )
    if moment.tzinfo is UTC:
        return moment
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def epoch_ms(moment: datetime) -> int:
    """Milliseconds since 1970 of an aware time, exactly (no float on the way)."""
    delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * 1000 + delta.microseconds // 1000


def rfc3339(ms: int) -> str:
    """The RFC 3339 text of an epoch in milliseconds."""
    moment = datetime.fromtimestamp(ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
