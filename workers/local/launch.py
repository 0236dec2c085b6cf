"""Become one supervised process: `launch.py FOLDER NAME SIGNAL`.

The launcher takes the lock `FOLDER/NAME.lock`, asks the kernel for SIGNAL on the death of its
parent (`-` for none), and then *becomes* the program whose arguments `FOLDER/NAME.json` lists, so
that the pid that the supervisor knows is the server's own.

The lock stays held by the program, and by every child that it forks, until the last of them has
ended. That makes it the one truth about what runs: a stale pid file cannot lie, and the number in
the lock file is the process group to end.

The supervisor runs this file by its path: it imports only the standard library.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

_PR_SET_PDEATHSIG = 1
"""prctl(2); the setting survives execve(2)."""


def take(lock: Path) -> int:
    """Hold `lock` for this process and what it becomes; what was left of the last one is ended.

    The descriptor is inheritable. The caller has to lead its process group.
    """
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        end(lock)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    os.set_inheritable(descriptor, True)
    return descriptor


def is_held(lock: Path) -> bool:
    """Whether a process, or a child that it left behind, still holds `lock`."""
    try:
        descriptor = os.open(lock, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def end(lock: Path) -> None:
    """SIGKILL the process group that holds `lock`.

    A held lock proves that the group still exists, so its number cannot have been given to another.
    """
    recorded = lock.read_text()
    if recorded and is_held(lock):
        with suppress(ProcessLookupError):
            os.killpg(int(recorded), signal.SIGKILL)


def die_with_parent(with_signal: signal.Signals, parent: int) -> None:
    """Get `with_signal` when the thread that started this process ends (Linux; else nothing).

    `parent` is its pid as seen before: where it died meanwhile, this process ends at once.
    """
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, int(with_signal), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:
        sys.exit(1)


def main() -> None:
    """Take the lock, tie the life to the parent's, become the program."""
    parent = os.getppid()
    folder, name, with_signal = sys.argv[1:]
    command: list[str] = json.loads((Path(folder) / f"{name}.json").read_text())
    if with_signal != "-":
        die_with_parent(signal.Signals[with_signal], parent)
    take(Path(folder) / f"{name}.lock")
    os.execvp(command[0], command)  # noqa: S606 (there is no shell to want)


if __name__ == "__main__":
    main()
