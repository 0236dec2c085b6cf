"""The logs of local processes, for `weathervane logs`."""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from pathlib import Path
from typing import BinaryIO

from pipeline.errors import WeathervaneError
from workers.local.cluster import Cluster

POLL_SECONDS = 0.2


def print_logs(local: Cluster, name: str | None, lines: int, follow: bool) -> None:
    """Print the last lines of one log, or of each, to stdout, and follow them until interrupted.

    Raises:
        WeathervaneError: nothing ever ran here, or nothing of that name.
    """
    if not local.was_started():
        raise WeathervaneError("there are no logs: nothing was ever started in this folder")
    if name is not None and name not in local.names():
        raise WeathervaneError(f"there is no {name}; known are {', '.join(local.names())}")
    names = local.names() if name is None else [name]
    logs = [Log(local.log(each), f"{each} | " if name is None else "") for each in names]
    if name is not None and not follow and not local.log(name).exists():
        raise WeathervaneError(f"{name} has no log: it was not started here")
    for log in logs:
        log.print_last(lines)
    while follow:
        for log in logs:
            log.print_new()
        time.sleep(POLL_SECONDS)


class Log:
    """One log, which may be rotated, or be there later only."""

    def __init__(self, path: Path, prefix: str) -> None:
        self._path, self._prefix = path, prefix.encode()
        self._file: BinaryIO | None = None
        self._begun = b""

    def print_last(self, count: int) -> None:
        """Print so many lines from its end."""
        self._open()
        if self._file is not None:
            for line in deque(self._file, maxlen=count):
                self._print(line)
            sys.stdout.flush()

    def print_new(self) -> None:
        """Print what came since, also where the file was replaced meanwhile."""
        self._rest()
        if self._file is None or self._was_replaced():
            self._open()
            self._rest()

    def _open(self) -> None:
        if self._file is not None:
            self._file.close()
        try:
            self._file = self._path.open("rb")
        except FileNotFoundError:
            self._file = None

    def _was_replaced(self) -> bool:
        try:
            now = self._path.stat()
        except FileNotFoundError:
            # Between the two steps of a rotation.
            return False
        held = os.fstat(self._file.fileno()) if self._file is not None else now
        at = self._file.tell() if self._file is not None else 0
        return now.st_ino != held.st_ino or now.st_size < at

    def _rest(self) -> None:
        """Print the whole lines that are there; one that has only begun waits for its end."""
        for line in self._file or ():
            self._begun += line
            if self._begun.endswith(b"\n"):
                self._print(self._begun)
                self._begun = b""
        sys.stdout.flush()

    def _print(self, line: bytes) -> None:
        text = (self._prefix + line.rstrip(b"\n")).decode(errors="replace")
        sys.stdout.write(text + "\n")
