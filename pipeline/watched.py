"""TOML files: read once with plain errors, or watched for as long as a worker runs."""

from __future__ import annotations

import logging
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

from pipeline.errors import SettingsError

Read = TypeVar("Read")
Value = TypeVar("Value")
log = logging.getLogger(__name__)


def read_toml(
    path: Path, kind: type[Read], what: str, dec_hook: Callable[[type, Any], Any] | None = None
) -> Read:
    """A TOML file as `kind`, any type of msgspec; `what` it is about stands before its errors.

    Raises:
        SettingsError: with the file and what is wrong in it.
    """
    try:
        return msgspec.toml.decode(path.read_bytes(), type=kind, dec_hook=dec_hook)
    except OSError as error:
        raise SettingsError(f"{what}: cannot read {path}: {error.strerror}") from error
    except (msgspec.DecodeError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{what}: {path}: {error}") from error


class WatchedFile(Generic[Value]):
    """A file that is read again whenever it changes.

    One that became wrong is reported, and what it said before stays in force.

    Args:
        path: None for no file, and `default` for ever.
        what: it holds, in the plural, for the log.
        names: of what a value holds, for the log.

    Raises:
        SettingsError: on the first read, where there is nothing to fall back to.
    """

    def __init__(
        self,
        path: Path | None,
        what: str,
        read: Callable[[Path], Value],
        default: Value,
        names: Callable[[Value], Iterable[str]],
    ) -> None:
        self._path, self._what, self._read, self._names = path, what, read, names
        # Before the read: what is written meanwhile is read again.
        self._seen = self._stamp()
        self._value = default if path is None else read(path)

    def changed(self) -> bool:
        """Whether another value is in force since the last call: one `stat`."""
        stamp = self._stamp()
        if self._path is None or stamp == self._seen:
            return False
        self._seen = stamp
        try:
            self._value = self._read(self._path)
        except SettingsError as error:
            log.error("%s; the %s before this change stay in force", error, self._what)
            return False
        log.info("%s are now: %s", self._what, ", ".join(self._names(self._value)) or "none")
        return True

    def current(self) -> Value:
        """The value in force now: one `stat` a call."""
        self.changed()
        return self._value

    def _stamp(self) -> tuple[int, int] | None:
        try:
            stat = None if self._path is None else self._path.stat()
        except OSError:
            return None
        return None if stat is None else (stat.st_mtime_ns, stat.st_size)
