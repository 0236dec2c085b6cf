"""A Redis of one test, to be stopped, killed and configured."""

from __future__ import annotations

import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

from tests.waiting import until
from workers.local import redis as local_redis


def free_port() -> int:
    """A port of 127.0.0.1 that nobody has right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class OwnRedis:
    """A server on `port` with its data in `folder`."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"redis://127.0.0.1:{self.port}/0"

    def client(self) -> Any:
        """A client with long time-outs."""
        return redis.Redis(port=self.port, protocol=2, decode_responses=True)

    def start(self, *options: str) -> None:
        """Start it, with further options of its command line; returns once it answers."""
        command = [*local_redis.prepare(self.folder, self.port), *options]
        self.process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until(lambda: local_redis.answers(self.port), "Redis answers")

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def end(self) -> None:
        """Kill it."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)


@contextmanager
def own_redis(folder: Path, *options: str) -> Iterator[OwnRedis]:
    """A running server for the time of the block."""
    server = OwnRedis(folder, free_port())
    try:
        server.start(*options)
        yield server
    finally:
        server.end()
