"""Whether the counts are up to date, as every answer with counts says it."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from pipeline.store import Freshness
from pipeline.times import rfc3339

STALE_SECONDS = 10.0
"""The aggregators note once a second that all is counted, so nothing older than this is usual."""


class Staleness(msgspec.Struct, frozen=True):
    """How far the counts may be trusted."""

    stale: bool
    """The store came back with older data, or the aggregator is dead or behind."""
    stale_since: str | None
    """Everything that reached `sentiment` before this is counted; null where nothing is known."""
    behind: int | None
    """Events not counted, with the markers of their transactions; null where Kafka is silent."""


def staleness(fresh: Freshness, ends: Mapping[int, int] | None, now_ms: int) -> Staleness:
    """Judge the store by what it says of itself and by the ends of `sentiment`, by partition."""
    known = fresh.complete_ms
    stale = known is None or now_ms - known > STALE_SECONDS * 1000
    behind = None
    if ends is not None:
        behind = sum(max(0, end - fresh.reached.get(place, 0)) for place, end in ends.items())
    return Staleness(stale, rfc3339(known) if stale and known is not None else None, behind)
