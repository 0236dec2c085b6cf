"""Loops beside the main one: whatever a round of theirs raises is logged, and the loop goes on."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

log = logging.getLogger(__name__)


class Rounds:
    """The rounds of one background loop, of a thread or of an asyncio task.

    An exception ends its round, never the loop. The first of a row is logged with its traceback,
    repeats of it with nothing, so that a server that is away does not fill the log; the loop
    pauses between its rounds by itself.

    Args:
        doing: what the loop does, for the log: "reading the lag".
        expected: exceptions of a server that is away; a line is enough for these.
    """

    def __init__(self, doing: str, *expected: type[Exception]) -> None:
        self._doing = doing
        self._expected = expected
        self.error: Exception | None = None
        """What ended the last round; None where it came to its end."""

    @contextmanager
    def round(self) -> Iterator[None]:
        """One round. A cancellation, and what ends the process, passes through."""
        try:
            yield
        except Exception as error:
            known = self.error is not None and type(error) is type(self.error)
            self.error = error
            if known:
                log.debug("%s failed again: %r", self._doing, error)
            elif isinstance(error, self._expected):
                log.warning("%s failed, once more in a moment: %s", self._doing, error)
            else:
                log.exception("%s failed, once more in a moment", self._doing)
        else:
            if self.error is not None:
                log.info("%s works again", self._doing)
            self.error = None
