"""How fast a channel may speak, and when it tries again."""

from __future__ import annotations

import math

FIRST_RETRY_SECONDS = 1.0
LONGEST_RETRY_SECONDS = 300.0


class TokenBucket:
    """At most `per_minute` messages in any 60 seconds: a quarter of them at once, the rest evenly.

    A new bucket holds one token, so that a process that is started again and again keeps the pace.
    `now` is a monotonic clock in seconds, passed in.
    """

    def __init__(self, per_minute: int, now: float) -> None:
        self.size = max(1, per_minute // 4)
        self._per_second = max(per_minute - self.size, 1) / 60
        self._tokens = 1.0
        self._at = now

    def tokens(self, now: float) -> int:
        """Messages that may go now."""
        self._fill(now)
        return math.floor(self._tokens + 1e-9)

    def take(self, now: float) -> None:
        """One message goes."""
        self._fill(now)
        self._tokens -= 1

    def wait(self, now: float) -> float:
        """Seconds until a message may go."""
        self._fill(now)
        return max(0.0, (1 - self._tokens) / self._per_second)

    def _fill(self, now: float) -> None:
        self._tokens = min(self.size, self._tokens + max(0.0, now - self._at) * self._per_second)
        self._at = max(self._at, now)


def retry_seconds(failures: int) -> float:
    """The pause after so many failures in a row: 1, 2, 4 … 300 seconds."""
    return float(min(LONGEST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2 ** min(failures - 1, 20)))
