"""What is asked of the supervisor, and where what it runs is found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """One worker process.

    `name` is the role and, where there are several, a number (`infer-1`). `argv` is started in the
    folder where `up` was called. With a `port`, the worker is ready when `/readyz` answers 200
    there; without one, when it runs.
    """

    name: str
    argv: list[str]
    port: int | None
    settings: str | None = None
    """A digest of what it reads of the settings: with another one it is started anew. None: with
    any other environment."""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Addresses of the servers, and ports for the workers."""

    kafka: str
    """Bootstrap servers, `host:port`."""
    redis: str
    """URL."""
    page: str
    """URL of the page."""
    page_port: int
    metrics_ports: tuple[int, ...]
    """Free ports for the workers' own HTTP servers, the same after a restart."""
