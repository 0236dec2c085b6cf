"""What one home folder remembers between commands: ports, addresses, the workers last started."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from pipeline.addresses import without_password
from workers.local.specs import Endpoints

METRICS_PORTS = 32
"""How many ports are kept for workers, from 9101 on."""


class State(msgspec.Struct):
    """The content of `state.json`. It holds no password: `save` leaves that of a URL out."""

    ports: dict[str, int]
    page_wanted: int
    given_kafka: str | None = None
    """Bootstrap servers that are not ours."""
    given_redis: str | None = None
    workers: dict[str, int | None] = {}
    """Name and port of each worker."""
    wishes: dict[str, str] = {}
    """What was asked for of each worker, as a digest; with another one it is started anew."""
    attached: bool = False
    """It ends with the command that started it."""

    @property
    def servers(self) -> list[str]:
        """The servers that are ours to run."""
        given = {"kafka": self.given_kafka, "redis": self.given_redis}
        return [name for name, address in given.items() if address is None]

    @property
    def endpoints(self) -> Endpoints:
        """Where clients and workers find everything."""
        return Endpoints(
            kafka=self.given_kafka or f"127.0.0.1:{self.ports['kafka']}",
            redis=self.given_redis or f"redis://127.0.0.1:{self.ports['redis']}/0",
            page=f"http://127.0.0.1:{self.ports['page']}",
            page_port=self.ports["page"],
            metrics_ports=tuple(self.ports[f"metrics-{n}"] for n in range(METRICS_PORTS)),
        )


def wanted_ports(page_port: int, kept: State | None) -> dict[str, int]:
    """The usual ports; those that `kept` remembers win, so that addresses outlive restarts."""
    ports = {"kafka": 9092, "controller": 9093, "redis": 6379, "page": page_port}
    ports |= {f"metrics-{n}": 9101 + n for n in range(METRICS_PORTS)}
    if kept is None:
        return ports
    same_page = kept.page_wanted == page_port
    return ports | {name: port for name, port in kept.ports.items() if name != "page" or same_page}


def load(path: Path) -> State | None:
    """The state, or None when there is none, or only one of another version."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=State)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def save(path: Path, state: State) -> None:
    """Write `state` without passwords, whole or not at all, readable by its owner only."""
    redis = without_password(state.given_redis) if state.given_redis is not None else None
    shown = msgspec.structs.replace(state, given_redis=redis)
    write_private(path, msgspec.json.format(msgspec.json.encode(shown), indent=1))


def write_private(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, readable by its owner only."""
    beside = path.with_suffix(".new")
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    beside.replace(path)
