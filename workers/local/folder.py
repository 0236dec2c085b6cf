"""The home folder: whether it can be used, in a sentence, and how all of it is forgotten."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import WeathervaneError

ROOM_BYTES = 200 * 1000 * 1000
"""Free space without which nothing is started: an empty Kafka takes about a tenth of it at once."""
_OURS = (
    "kafka",
    "redis",
    "logs",
    "run",
    "demo",
    "state.json",
    "state.new",
    "settings.json",
    "settings.new",
    "author_salt",
    "supervisord.conf",
    "supervisord.pid",
    "supervisord.sock",
    "supervisord.socket-path",
    "demo.lock",
    "up.lock",
)
"""What we put into the folder; `up.lock` is the last."""


@contextmanager
def explained(home: Path) -> Iterator[None]:
    """Turn a failure to use the folder into a sentence that says what to do.

    Raises:
        WeathervaneError: in the place of an OSError that the folder caused.
    """
    try:
        yield
    except OSError as error:
        sentence = _sentence(home.absolute(), error)
        if sentence is None:
            raise
        raise WeathervaneError(sentence) from error


def _sentence(home: Path, error: OSError) -> str | None:
    existing = next(path for path in (home, *home.parents) if path.exists())
    if error.errno in (errno.EEXIST, errno.ENOTDIR) and not existing.is_dir():
        return f"{existing} is a file, and has to be a folder: move it away"
    where = Path(error.filename) if isinstance(error.filename, str) else home
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return (
            f"cannot use {where}: {error.strerror}; "
            "call weathervane in a folder of your own, in which you may write"
        )
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"cannot write {where}: {error.strerror}; make room and call it again"
    if error.errno in (errno.ENOENT, errno.ENOTDIR) and not home.is_dir():
        return f"cannot make {home}: {error.strerror}; call weathervane in another folder"
    return None


def check_room(home: Path) -> None:
    """Refuse to start servers on a disk that is all but full.

    Raises:
        WeathervaneError: there are less than `ROOM_BYTES`.
    """
    free = shutil.disk_usage(home).free
    if free < ROOM_BYTES:
        raise WeathervaneError(
            f"the disk of {home} is full: {free / 1e6:.0f} MB are free, and Kafka and Redis need "
            f"{ROOM_BYTES / 1e6:.0f} MB to start; make room and call it again"
        )


def forget(home: Path) -> list[str]:
    """Delete all that we put into the folder, and the folder; the names of what was left there."""
    for name in _OURS:
        path = home / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    left = sorted(path.name for path in home.iterdir())
    if not left and not home.is_symlink():
        home.rmdir()
    return left
