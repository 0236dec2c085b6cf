"""Redis: whether it is there and is Redis, keeps what it is given, and takes writes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any

import redis
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    InvalidResponse,
    RedisError,
    ResponseError,
)

from pipeline.errors import ServerUnavailable
from pipeline.eviction import KEEPING, policy_of
from pipeline.settings import PREFIX, Settings
from pipeline.store import connect
from workers.checks.finding import Finding, failed, unless_found, warning
from workers.checks.kafka import skew
from workers.checks.reach import reach, redis_address

MIN_REDIS = (6, 2)
WAIT_SECONDS = 2.0
FULL, NEARLY_FULL = 0.95, 0.8
_MEBIBYTE = 1 << 20


def check_redis(settings: Settings) -> list[Finding]:
    """Whether the store is fit to hold the counts."""
    with closing(_connected(settings)) as client:
        info: Any = client.info("all")
        saves = _saves(client)
    version = str(info["redis_version"])
    found: list[Finding] = []
    if tuple(int(part) for part in version.split(".")[:2]) < MIN_REDIS:
        found.append(failed(f"version {version}; at least 6.2 is needed"))
    if info.get("role") in {"slave", "replica"}:
        found.append(failed(f"it is a replica, which takes no writes: name its primary in {_NAME}"))
    found += _memory(info)
    found += _persistence(info, saves)
    return unless_found(found, f"version {version}")


def check_redis_clock(settings: Settings) -> list[Finding]:
    """Redis's clock against ours."""
    with closing(_connected(settings)) as client:
        before = time.time()
        answer: Any = client.time()
        here = (before + time.time()) / 2
    seconds, microseconds = answer
    return skew("Redis's", seconds + microseconds / 1_000_000 - here)


_NAME = f"{PREFIX}REDIS"


def _connected(settings: Settings) -> redis.Redis:
    """A client that was answered.

    Raises:
        ServerUnavailable: what stands at the address is no Redis that answers.
    """
    address = redis_address(settings)
    reach(address).close()
    name = "{}:{}".format(*address)
    client = connect(settings.redis, WAIT_SECONDS)
    try:
        client.ping()
    except RedisError as error:
        client.close()
        raise ServerUnavailable(f"{name} {_why(error)}") from error
    return client


def _why(error: RedisError) -> str:
    text = str(error)
    said: list[tuple[bool, str]] = [
        (
            isinstance(error, AuthenticationError),
            f"refuses the user or the password of {_NAME}: {text}",
        ),
        (isinstance(error, BusyLoadingError), "is still loading its data"),
        ("HTTP" in text or "<" in text, "is a web server, not Redis"),
        (isinstance(error, InvalidResponse), f"is not Redis; it answers {text[:60]!r}"),
        (
            isinstance(error, redis.TimeoutError),
            f"takes connections and does not answer within {WAIT_SECONDS:g} s",
        ),
        (
            isinstance(error, redis.ConnectionError) and "closed" in text.lower(),
            "ends the connection: it is not Redis, or expects TLS (rediss://)",
        ),
    ]
    answer = next((words for fits, words in said if fits), None)
    return answer or f"does not answer as it should: {text}"


def _saves(client: redis.Redis) -> str | None:
    """Its times of saving; None where it does not tell (`CONFIG` is often forbidden)."""
    try:
        told: Any = client.config_get("save")
    except ResponseError:
        return None
    values = {_text(name): _text(value) for name, value in told.items()}
    return values.get("save")


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _memory(info: Mapping[str, Any]) -> Iterator[Finding]:
    policy, limit = policy_of(info)
    if policy != KEEPING:
        when = "when it is full" if limit else "as soon as maxmemory is set"
        yield failed(
            f"maxmemory-policy is {policy} and must be {KEEPING}: {when} it drops counters, and "
            "repeats are counted twice"
        )
    used = int(info.get("used_memory", 0))
    if limit and used > NEARLY_FULL * limit:
        text = f"{used / _MEBIBYTE:.0f} of {limit / _MEBIBYTE:.0f} MiB (maxmemory) are used"
        if used > FULL * limit:
            yield failed(f"{text}: nothing is counted once it is full")
        else:
            yield warning(text)


def _persistence(info: Mapping[str, Any], saves: str | None) -> Iterator[Finding]:
    aof = int(info.get("aof_enabled", 0))
    if not aof and saves == "":
        yield failed(
            "it keeps nothing on disk (neither AOF nor RDB): a restart loses every count older "
            "than the retention of sentiment; set appendonly to yes"
        )
    elif not aof and saves is None:
        yield warning("AOF is off, and it does not tell whether it saves (CONFIG GET save)")
    if aof and info.get("aof_last_write_status") == "err":
        yield failed("its last write to the AOF failed: is its disk full?")
    if saves and info.get("rdb_last_bgsave_status") == "err":
        yield failed("its last save (RDB) failed: is its disk full?")
