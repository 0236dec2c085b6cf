"""How many partitions `sentiment` has, as the store remembers it.

Repeats of a post are recognised within a partition, which the hash of its id chooses. Partitions
that are added later send ids elsewhere: what was counted before counts once more when it is sent
again, for as long as a repeat would have been recognised. So the change is noted and said.
"""

from __future__ import annotations

from typing import Any

import msgspec
import redis


class PartitionChange(msgspec.Struct, frozen=True):
    """`sentiment` had `before` partitions and was seen with `count` since `since_ms`."""

    before: int
    count: int
    since_ms: int


def _key(namespace: str) -> str:
    return f"{namespace}:partition-count"


def note_partitions(
    client: redis.Redis, count: int, now_ms: int, namespace: str = "wv"
) -> PartitionChange | None:
    """Remember the present number; the change where it was another before."""
    known, _ = known_partitions(client, namespace)
    if known is None:
        client.hset(_key(namespace), "count", str(count))
        return None
    if known == count:
        return None
    change = PartitionChange(known, count, now_ms)
    fields = {"before": known, "count": count, "since_ms": now_ms}
    client.hset(_key(namespace), mapping={name: str(value) for name, value in fields.items()})
    return change


def known_partitions(
    client: redis.Redis, namespace: str = "wv"
) -> tuple[int | None, PartitionChange | None]:
    """The number that the store was last folded with, and the last change of it."""
    values: Any = client.hmget(_key(namespace), ["count", "before", "since_ms"])
    count, before, since_ms = (None if value is None else int(value) for value in values)
    if count is None or before is None or since_ms is None:
        return count, None
    return count, PartitionChange(before, count, since_ms)
