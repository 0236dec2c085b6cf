"""Up to which event time everything is counted, of each partition of `sentiment`. Pure.

Three cases, by what the frontier knows (workers.monitor.frontier):

- *Live*: posts come within the lateness, and what waits does so for a moment. Everything is counted
  that is older than the newest of the partition by the lateness.
- *Live with a backlog*: a stage was away. The posts reached Kafka in time, so that everything is
  counted that is older than the frontier by the lateness.
- *History*: many posts were old when they reached Kafka, and their times run ahead of the clock.
  They say nothing about what is on its way. But what had been read when a mark was made was in the
  raw topics by then: once the mark is through, everything is counted that is older than the newest
  of then by the lateness. The mark is one of some seconds before, for producers that write side by
  side.

Where Kafka does not say for long how far the stages are, it is as if everything were live.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Collection

from pipeline.rollups import SILENT_SECONDS, Source
from workers.monitor.frontier import Frontier, Look

NEAR_SECONDS = 10.0
"""What waits for no longer than this is no backlog: the lateness allows for it. Producers that
write the same history side by side are level by as much."""
_MANY = 0.25
"""Share of old posts that makes a history; one in a hundred is usual at live speed."""
_MEMORY = 50
"""Posts that the share is taken over, about."""
_SLOW_MS = 900_000
"""A platform may be slow by this much, and live: its posts come at the pace of the clock."""
_AHEAD_MS = 30_000
"""By how much more than the clock event time goes on in `NEAR_SECONDS`, in a history."""
log = logging.getLogger(__name__)


class Certainty:
    """What is certain for the partitions of one member. `now` is a steady clock, in seconds."""

    def __init__(self, lateness_ms: int, now: float) -> None:
        self._lateness_ms = lateness_ms
        self._frontier = Frontier()
        self._known_at = now
        self._share = 0.0
        self._old_at = float("-inf")
        self._then: deque[tuple[float, dict[int, int]]] = deque()

    def forget(self) -> None:
        """The partitions are others now."""
        self._frontier.forget()
        self._then.clear()

    def saw(self, posts: int, old: int, sources: Collection[Source], now: float) -> None:
        """Posts came; so many of them were older than the lateness when they reached Kafka."""
        self._share += (old / posts - self._share) * posts / (posts + _MEMORY)
        if max(self._share, old / posts) >= _MANY and self._runs_ahead(sources, now):
            self._old_at = now

    def look(self, look: Look | None, sources: Collection[Source]) -> None:
        """Take in where the stages stand; None where nobody knows."""
        if look is None:
            return
        self._known_at = look.at
        newest = {source.partition: source.newest for source in sources}
        if not self._then or self._then[-1][1] != newest:
            self._then.append((look.at, newest))
        stuck = self._frontier.stuck
        self._frontier.look(look)
        if self._frontier.stuck - stuck:
            names = ", ".join(f"{p.topic}-{p.partition}" for p in sorted(self._frontier.stuck))
            log.warning("%s: nobody reads on; alerts do not wait for what is there", names)
        while len(self._then) > 1 and self._then[1][0] <= self._frontier.passed - NEAR_SECONDS:
            self._then.popleft()

    def counted(self, moment: float, now: float) -> bool:
        """Whether all that had arrived by the moment is counted, as far as is known."""
        return self._frontier.passed >= moment or self._blind(now)

    def sure(
        self, source: Source, sources: Collection[Source], now: float, wall: float
    ) -> int | None:
        """The event time before which all is counted (epoch milliseconds); None where nobody knows.

        `wall` is the time of day at `now`, in epoch seconds.
        """
        passed = self._frontier.passed
        if self._blind(now):
            return None
        if passed == float("-inf"):
            return 0
        live, near = passed > self._old_at, now - passed <= NEAR_SECONDS
        if live and near and source.delay_ms <= max(_SLOW_MS, self._lateness_ms):
            newest = source.newest
        elif live and source.delay_ms <= self._lateness_ms:
            arrived_ms = int((wall - (now - passed)) * 1000)
            newest = min(arrived_ms, max(each.newest for each in sources))
        else:
            then = self._newest_at(passed - NEAR_SECONDS)
            newest = then.get(source.partition, 0)
        return max(0, newest - self._lateness_ms)

    def held(self, now: float) -> tuple[float, str]:
        """How old the oldest post is that is not counted (seconds, at most), and who has it."""
        if self._blind(now):
            return 0.0, ""
        return self._frontier.behind(now)

    def _blind(self, now: float) -> bool:
        return now - self._known_at >= SILENT_SECONDS

    def _runs_ahead(self, sources: Collection[Source], now: float) -> bool:
        """Whether event time went on faster than the clock in the last seconds."""
        then = max(self._newest_at(now - NEAR_SECONDS).values(), default=0)
        newest = max((each.newest for each in sources), default=0)
        return newest - then > NEAR_SECONDS * 1000 + _AHEAD_MS

    def _newest_at(self, moment: float) -> dict[int, int]:
        """The newest event times by partition that were known at a moment."""
        # It is asked for the first, or for one of the last.
        if len(self._then) > 1 and self._then[1][0] > moment:
            at, newest = self._then[0]
            return newest if at <= moment else {}
        return next((newest for at, newest in reversed(self._then) if at <= moment), {})
