"""What the decoding child may use, enforced by the kernel."""

from __future__ import annotations

import ctypes
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ADDRESS_SPACE_BYTES = 400_000_000
"""On top of what the child has mapped once its libraries are loaded."""
DATA_BYTES = 90_000_000
"""Writable private memory on top of the same: this one bounds what becomes resident."""
MORE_DATA_BYTES = 90_000_000
"""As much again for an item that was looked at and is known to need it (`more_data`)."""
CPU_SECONDS = 6
_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Have the kernel kill this process when the thread that started it ends (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def confine() -> None:
    """Give up new files, sockets, core dumps and memory. To be called with all libraries loaded.

    Memory is bounded on Linux only, where the present use can be read.

    Raises:
        OSError, ValueError: a limit is refused, or the present use cannot be read.
    """
    if sys.platform == "linux":
        _bound(resource.RLIMIT_AS, _status_bytes("VmSize") + ADDRESS_SPACE_BYTES)
        data = _status_bytes("VmData") + DATA_BYTES
        resource.setrlimit(resource.RLIMIT_DATA, (data, data + MORE_DATA_BYTES))
    for limit in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE):
        _bound(limit, 0)


@contextmanager
def more_data() -> Iterator[None]:
    """Let this process have `MORE_DATA_BYTES` more meanwhile, where its memory is bounded."""
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def allow_cpu(seconds: int = CPU_SECONDS) -> None:
    """Let this process use so much more CPU time; past it the kernel ends it (SIGXCPU)."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    used = int(usage.ru_utime + usage.ru_stime)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (used + seconds, hard))


def _bound(limit: int, value: int) -> None:
    resource.setrlimit(limit, (value, value))


def _status_bytes(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"/proc/self/status has no {field}")
