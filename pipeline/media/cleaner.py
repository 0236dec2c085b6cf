"""The parent's side: one child that decodes, watched and replaced."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from pipeline.errors import WeathervaneError
from pipeline.media import wire
from pipeline.media.reasons import UnreadReason
from pipeline.media.wire import CleanMedia, MediaError, RawMedia

SECONDS_PER_ITEM = 5.0
"""Wall time for one picture or sound, after which the child is killed."""
SECONDS_TO_START = 60.0
ITEMS_PER_CHILD = 10_000
"""A child is replaced after so many: what a codec leaks does not add up."""
_MAX_GREETING_BYTES = 1000

log = logging.getLogger(__name__)


class MediaCleaner:
    """Decodes media in one child process and hands back small, clean files.

    The child starts with the first item and is replaced when it dies, overruns its time or has
    served its share. It has an empty environment, no file to open, and limits on memory and CPU
    (`pipeline.media.limits`), and it answers item by item: an item that kills it is an error, the
    items after it go on. Calls from several threads take turns.

    On Linux the child dies with the *thread* that started it (`PR_SET_PDEATHSIG`); a later call
    from another thread starts a new one.
    """

    def __init__(self, seconds_per_item: float = SECONDS_PER_ITEM) -> None:
        self._seconds = seconds_per_item
        self._lock = threading.Lock()
        self._child: _Child | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """The process id of the child, where one runs."""
        return self._child.pid if self._child else None

    def clean(self, items: Sequence[RawMedia]) -> list[CleanMedia | MediaError]:
        """Clean each item: an answer for each, in the same order.

        Raises:
            WeathervaneError: no child can be started.
        """
        with self._lock:
            return [self._clean(item) for item in items]

    def close(self) -> None:
        """End the child. A later `clean` starts another."""
        with self._lock:
            self._end()

    def _clean(self, item: RawMedia) -> CleanMedia | MediaError:
        if not item.data:
            return MediaError(f"the {_noun(item)} is empty", "empty")
        if len(item.data) > wire.MAX_INPUT_BYTES:
            return MediaError(
                f"the {_noun(item)} has {len(item.data):,} bytes; "
                f"at most {wire.MAX_INPUT_BYTES:,} are read",
                "too_large",
            )
        child = self._ready_child()
        code: UnreadReason = "damaged"
        try:
            return child.ask(item, self._seconds)
        except TimeoutError:
            reason = f"the {_noun(item)} takes more than {self._seconds:g} s to decode"
            code = "too_long_to_decode"
        except (EOFError, ConnectionError):
            reason = f"decoding the {_noun(item)} ended the decoder"
        except (ValueError, msgspec.DecodeError):
            reason = f"decoding the {_noun(item)} gave no readable answer"
        log.warning("media child %d replaced: %s", child.pid, reason)
        self._end()
        return MediaError(reason, code)

    def _ready_child(self) -> _Child:
        if self._child and (not self._child.alive() or self._child.served >= ITEMS_PER_CHILD):
            self._end()
        if self._child is None:
            self._child = _Child()
        return self._child

    def _end(self) -> None:
        if self._child:
            self._child.end()
            self._child = None


class _Child:
    """One process of `pipeline.media.child` and the socket to it."""

    def __init__(self) -> None:
        self.served = 0
        self._channel, theirs = socket.socketpair()
        root = Path(__file__).resolve().parents[2]
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-s", "-m", "pipeline.media.child"],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                env={"PYTHONPATH": os.fspath(root)},
                cwd="/",
                # Ctrl-C on the terminal is for the parent, which drains what it has begun.
                start_new_session=True,
            )
        try:
            deadline = time.monotonic() + SECONDS_TO_START
            ready = wire.receive(self._channel, _MAX_GREETING_BYTES, deadline)
        except (OSError, EOFError, ValueError) as error:
            self.end()
            raise WeathervaneError(
                "the child process that decodes media does not start; its message stands above"
            ) from error
        if ready != wire.READY:
            self.end()
            reason = ready.decode(errors="replace")
            raise WeathervaneError(f"the child process that decodes media does not start: {reason}")

    @property
    def pid(self) -> int:
        pid: int = self._process.pid
        return pid

    def alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, item: RawMedia, seconds: float) -> CleanMedia | MediaError:
        """One item, one answer. Raises as `wire.receive`, and `msgspec.DecodeError`."""
        deadline = time.monotonic() + seconds
        self._channel.settimeout(seconds)
        wire.send(self._channel, item)
        answer = wire.decode_answer(wire.receive(self._channel, wire.MAX_ANSWER_BYTES, deadline))
        self.served += 1
        return answer

    def end(self) -> None:
        self._channel.close()
        self._process.kill()
        self._process.wait()


def _noun(item: RawMedia) -> str:
    return "picture" if item.kind == "image" else "sound"
