"""One word for each process: what its supervisor says, and what it says itself."""

from __future__ import annotations

import http.client
from typing import Any
from urllib.parse import urlsplit

from workers.local.supervision import Process

_STATES = {
    "STOPPED": "stopped",
    "STOPPING": "stopped",
    "BACKOFF": "backoff",
    "EXITED": "backoff",
    "FATAL": "failed",
    "UNKNOWN": "failed",
}


def state_of(process: Process | None, ready: bool) -> str:
    """running (and ready), starting, backoff (ended, waits for its next start), stopped, failed."""
    if process is None:
        return "stopped"
    return _STATES.get(process.state) or ("running" if ready else "starting")


def report(process: Process | None, port: int | None, ready: bool) -> dict[str, Any]:
    """The entry of one process in `status --json`."""
    state = state_of(process, ready)
    pid = process.pid if process is not None else None
    return {"state": state, "pid": pid, "port": port, "ready": state == "running"}


def problem_of(process: Process) -> str:
    """Why a process does not run, as far as its supervisor knows; empty where it runs."""
    if process.pid is not None or process.state == "STOPPED":
        return ""
    if process.problem and process.exit_status == 0:
        return process.problem
    how = "by a signal" if process.exit_status < 0 else f"with exit status {process.exit_status}"
    return f"it ended {how} and is started again"


def is_ready(port: int, timeout: float = 2.0) -> bool:
    """Whether `/readyz` on 127.0.0.1 answers 200 within `timeout` seconds."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def host_and_port(address: str) -> tuple[str, int]:
    """The first server of `host:port,…`, or the server of a `redis://` URL."""
    first = address.split(",", maxsplit=1)[0]
    parts = urlsplit(first if "://" in first else f"kafka://{first}")
    usual = 9092 if parts.scheme == "kafka" else 6379
    return parts.hostname or "127.0.0.1", parts.port or usual
