"""Whether Redis may throw away what the store holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import redis

KEEPING = "noeviction"


def may_evict(client: redis.Redis) -> str | None:
    """Why the store is not safe; None where it is.

    A store that is full and drops keys loses counters, and the ids by which repeats are known,
    without a word: `noeviction` refuses the write instead, and nothing is lost.
    """
    memory: Any = client.info("memory")
    policy, limit = policy_of(memory)
    if policy == KEEPING or limit == 0:
        return None
    return (
        f"Redis drops keys when it is full (maxmemory-policy is {policy}): counts are wrong then. "
        f"Set it to {KEEPING}"
    )


def policy_of(memory: Mapping[str, Any]) -> tuple[str, int]:
    """Its policy and its limit in bytes (0 for none), of `INFO memory`."""
    return str(memory.get("maxmemory_policy", KEEPING)), int(memory.get("maxmemory", 0))
