"""Where a command is: the system of this folder, or the servers that the settings name.

There is no third place. What listens on the usual ports may be somebody else's.
"""

from __future__ import annotations

import secrets
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

from pipeline.addresses import is_same_server, without_password
from pipeline.errors import WeathervaneError
from pipeline.settings import PREFIX, Settings, complete_environment, load_settings
from workers.local.cluster import Cluster
from workers.local.folder import explained

HOME = Path(".weathervane")
DEMO = HOME / "demo"
"""The demo has a system of its own, beside that of `up`."""
SERVERS = ("kafka", "redis")


def cluster(settings: Settings, home: Path = HOME) -> Cluster:
    """The local cluster of the working directory, using the servers that were given."""
    return Cluster(
        home,
        kafka=settings.kafka or None,
        redis=settings.redis or None,
        page_port=settings.page_port,
    )


def running_here() -> Cluster | None:
    """The system of this folder that runs: that of `up`, or else the demo's."""
    found = (Cluster(home) for home in (HOME, DEMO))
    return next((each for each in found if each.is_running()), None)


def known_here() -> Cluster:
    """The system that runs here, or else the one that ran last, or else none yet."""
    running = running_here()
    if running is not None:
        return running
    started = (each for each in (Cluster(HOME), Cluster(DEMO)) if each.was_started())
    return next(started, Cluster(HOME))


def salt_file(home: Path) -> Path:
    """The author salt of this installation, made on first use and readable by its owner only."""
    with explained(home):
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = home / "author_salt"
        if not path.exists():
            path.touch(mode=0o600)
            path.write_text(secrets.token_hex(32), encoding="utf-8")
    return path


def settings_here(needs: Collection[str] = SERVERS, **overrides: Any) -> Settings:
    """The settings of a command that speaks to `needs`: some of `SERVERS`.

    Where the settings name a server that is not that of this folder's system, only they count: a
    command never takes Kafka from one system and Redis from another. Else they are completed by the
    settings that the system of this folder runs with.

    Raises:
        WeathervaneError: nothing runs here and nothing is named.
    """
    settings = load_settings(**overrides)
    local = running_here()
    if local is not None and _is_of(settings, local):
        named = settings.kafka and settings.redis
        return settings if named else settings_of(local, **overrides)
    missing = [name for name in SERVERS if name in needs and not getattr(settings, name)]
    if missing:
        raise WeathervaneError(_nothing(settings, missing, local))
    if local is not None and needs:
        addresses = [getattr(settings, name) for name in SERVERS if name in needs]
        spoken_to = " and ".join(map(without_password, addresses))
        _say(f"weathervane: speaking to {spoken_to}, not to the system of this folder")
    return settings


def settings_of(local: Cluster, **overrides: Any) -> Settings:
    """The settings that a system which runs here runs with, and its servers; what else this shell
    says comes first."""
    found = local.recall()
    complete_environment(found)
    ends = local.endpoints()
    # Until it has been told its variables only the file says where its servers are.
    servers = {
        "kafka": found.get(f"{PREFIX}KAFKA", ends.kafka),
        "redis": found.get(f"{PREFIX}REDIS", ends.redis),
    }
    return load_settings(**(servers | overrides))


def _is_of(settings: Settings, local: Cluster) -> bool:
    """Whether all servers that the settings name are those of this system."""
    ends = local.endpoints()
    pairs = ((settings.kafka, ends.kafka), (settings.redis, ends.redis))
    return all(not named or is_same_server(named, its) for named, its in pairs)


def _nothing(settings: Settings, missing: list[str], local: Cluster | None) -> str:
    variables = " and ".join(f"{PREFIX}{name.upper()}" for name in missing)
    if settings.kafka or settings.redis:
        given = f"{PREFIX}{'KAFKA' if settings.kafka else 'REDIS'}"
        beside = ", which is not that of this folder's system," if local is not None else ""
        return f"{given} names a server{beside} and {variables} is not set: set both"
    here = HOME.absolute()
    if Cluster(HOME).was_started():
        return (
            f"nothing runs here: the system of {here} was stopped or has ended; start it again "
            f"with weathervane up, or set {variables}"
        )
    return (
        f"nothing runs here: there is no system in {here.parent}; start one with weathervane up, "
        f"or set {variables}"
    )


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
