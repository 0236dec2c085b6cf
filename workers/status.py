"""What runs on this machine, for people and for scripts."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from pipeline.addresses import without_password
from pipeline.settings import Settings
from workers.local.cluster import Cluster

_LAG_SECONDS = 5.0
"""Longest wait for what Kafka says of the lag."""
_SERVERS = ("kafka", "redis")


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of one process."""

    name: str
    entry: dict[str, Any]
    """As `status --json` has it."""
    problem: str
    """Why its supervisor does not run it; empty where it does."""


def not_ready(seen: Seen) -> str | None:
    """Why a process is not running and ready, in its own words where it has some."""
    if seen.entry["state"] == "running":
        return None
    if seen.problem:
        return seen.problem
    if seen.entry["pid"] is None:
        return "it is stopped"
    said = _own_words(seen.entry["port"]) if seen.name not in _SERVERS else ""
    return said or "it has not answered yet"


REASONS: tuple[Callable[[Seen], str | None], ...] = (not_ready,)
"""Each looks at one process and says what is wrong with it, or None; the first word counts."""


def print_status(local: Cluster, settings: Settings, as_json: bool) -> bool:
    """Print the state of servers and workers to stdout; whether all of them run and are ready.

    Nothing is down where nothing was ever started.
    """
    status = _whole(local, settings)
    if as_json:
        print(msgspec.json.encode(status).decode())
    else:
        _print(local, status)
    states = [worker["state"] for worker in status["workers"].values()]
    named = bool(settings.kafka or settings.redis)
    return all(state == "running" for state in states) or not (local.was_started() or named)


def _whole(local: Cluster, settings: Settings) -> dict[str, Any]:
    """`Cluster.status`, with `uptime`, `restarts` and `reason` of each, with `lag` by stage, and
    with `blocked`."""
    status, details = local.status(), local.details()
    problems = {name: each["problem"] for name, each in details.items()}
    named = {"kafka": settings.kafka, "redis": settings.redis, "page": ""}
    if local.is_running():
        named |= dict.fromkeys(details, "")
    else:
        # An address at which nothing of ours listens would send its reader to somebody else.
        status |= {key: status[key] if value else None for key, value in named.items()}
        for name, entry in status["workers"].items():
            entry["port"] = entry["port"] if named.get(name) else None
    for name in _SERVERS:
        if named[name] and status["workers"][name]["state"] != "running":
            problems[name] = f"nothing answers at {without_password(named[name])}"
    with ThreadPoolExecutor(8) as pool:
        waiting = pool.submit(_lag, settings, status["workers"]["kafka"]["state"])
        seen = [
            Seen(name, entry, problems.get(name, "")) for name, entry in status["workers"].items()
        ]
        reasons = list(pool.map(_reason, seen))
        status["lag"], status["blocked"] = waiting.result()
    for one, reason in zip(seen, reasons, strict=True):
        known = details.get(one.name, {})
        one.entry["uptime"] = known.get("up_seconds")
        one.entry["restarts"] = known.get("restarts", 0)
        one.entry["reason"] = reason
    return status


def _reason(seen: Seen) -> str | None:
    return next((said for look in REASONS if (said := look(seen)) is not None), None)


def _own_words(port: int | None) -> str:
    """What a worker's `/readyz` says; empty where it says nothing."""
    if port is None:
        return ""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/readyz")
        body = json.loads(connection.getresponse().read())
    except (OSError, http.client.HTTPException, ValueError):
        return ""
    finally:
        connection.close()
    return str(body.get("why") or body.get("error") or "") if isinstance(body, dict) else ""


def _lag(settings: Settings, kafka: str) -> tuple[dict[str, int], list[str]]:
    """Records that each stage has yet to read, and what keeps ingest from reading, in sentences;
    nothing where Kafka does not say so in time."""
    if kafka != "running" or not settings.kafka:
        return {}, []
    found: dict[str, int] = {}
    held: list[str] = []

    def read() -> None:
        from kafka.errors import KafkaError

        from pipeline.errors import WeathervaneError
        from pipeline.lag import Lag, behind_open

        try:
            with closing(Lag(settings)) as lag:
                found.update({name: group.records for name, group in lag.read().stages.items()})
                held.extend(behind_open(lag.held()))
        except (KafkaError, WeathervaneError, KeyError, OSError):
            # A status without the lag is better than none.
            found.clear()

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    thread.join(_LAG_SECONDS)
    return dict(found), list(held)


def _print(local: Cluster, status: dict[str, Any]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    if not local.is_running():
        console.print(
            f"nothing runs here: the system of {local.home} is stopped (weathervane up starts it)"
            if local.was_started()
            else "nothing runs here (weathervane up starts a system in this folder)"
        )
    elif local.is_a_demo():
        console.print("the demo of this folder")
    table = Table("name", "state", "pid", "port", "up", "restarts", "lag", box=None)
    for name, worker in status["workers"].items():
        lag = status["lag"].get(name.split("-", maxsplit=1)[0])
        cells = (worker["pid"], worker["port"], _span(worker["uptime"]), worker["restarts"], lag)
        table.add_row(name, worker["state"], *map(_shown, cells))
    console.print(table)
    for name, worker in status["workers"].items():
        if worker["reason"]:
            console.print(f"{name}: {worker['reason']}", markup=False)
        if "loop" in worker:
            console.print(f"{name} {worker['loop']}", markup=False)
    for said in status["blocked"]:
        console.print(f"ingest: {said}", markup=False)
    for name in ("page", "kafka", "redis"):
        console.print(f"{name:<6} {status[name] or '-'}", markup=False)


def _span(seconds: int | None) -> str | None:
    """A time span in its two largest units."""
    if seconds is None:
        return None
    for unit, name, lesser, less in (
        (86400, "d", 3600, "h"),
        (3600, "h", 60, "m"),
        (60, "m", 1, "s"),
    ):
        if seconds >= unit:
            return f"{seconds // unit}{name} {seconds % unit // lesser}{less}"
    return f"{seconds}s"


def _shown(value: object) -> str:
    return "-" if value is None else str(value)
