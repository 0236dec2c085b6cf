"""Ports of one machine: the usual ones, or free ones where the usual are taken.

Between the choice of a port and the moment when its server listens lie seconds (a JVM starts), in
which another `weathervane up` in another folder would choose the same. So a choice is a lock on a
file named after the port, shared by all of this user, and held as long as the supervisor lives.
"""

from __future__ import annotations

import fcntl
import os
import socket
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path

from pipeline.errors import WeathervaneError

_SEARCHED = 400
"""How far above the wanted port to look for a free one."""


def private_folder() -> Path:
    """A folder in the system's temporary place that only this user can enter, with a short name.

    Raises:
        WeathervaneError: something else has that name.
    """
    folder = Path(tempfile.gettempdir()) / f"weathervane-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise WeathervaneError(f"{folder} is not a private folder of this user; remove it")
    return folder


def reserve(wanted: Mapping[str, int]) -> tuple[dict[str, int], list[int]]:
    """A free port of 127.0.0.1 for each name, the wanted one where possible.

    Returns:
        The ports, and the descriptors that keep them reserved until all copies are closed.

    Raises:
        WeathervaneError: no port near the wanted one is free.
    """
    folder = private_folder()
    chosen: dict[str, int] = {}
    descriptors: list[int] = []
    for name, first in wanted.items():
        others = set(wanted.values()) - {first}
        for port in range(first, min(first + _SEARCHED, 65536)):
            if port in others or port in chosen.values():
                continue
            descriptor = _lock(folder / f"{port}.port")
            if descriptor is None:
                continue
            if _is_free(port):
                chosen[name] = port
                descriptors.append(descriptor)
                break
            os.close(descriptor)
        else:
            raise WeathervaneError(f"no free port for {name} from {first} on")
    return chosen, descriptors


def accepts(host: str, port: int, timeout: float = 1.0) -> bool:
    """Whether something accepts TCP connections there within `timeout` seconds."""
    try:
        socket.create_connection((host, port), timeout=timeout).close()
    except OSError:
        return False
    return True


def _lock(path: Path) -> int | None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _is_free(port: int) -> bool:
    # Connecting finds a listener on 0.0.0.0, beside which some systems would let us bind.
    if accepts("127.0.0.1", port):
        return False
    with socket.socket() as probe:
        # As the servers do: a port in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
