"""Rules tried on the past: the monitor's own code over events that are all there. Pure.

The alerts are those of the live monitor with the same rules, over the same events: it judges each
minute once all of its posts are counted, in the order of the minutes, as is done here. What
differs: no post is late, since every one is known; an alert has no posts in its evidence; and what
people did about alerts is left out. The minute of the newest event is judged by neither.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from pipeline.alerts.alert import Alert
from pipeline.alerts.rules import Rules
from pipeline.alerts.track import TrackMonitor
from pipeline.buckets import MINUTE
from pipeline.rollups import Arrived, Rollup, roll_up


class Past(NamedTuple):
    """One spike."""

    alert: Alert
    """The last state that it would have, or else the one that it has."""
    would: Alert | None
    """None where the rules would not have let it fire."""
    did: Alert | None
    """None where it never fired."""


class Backtest:
    """Gathers events in any order, then judges the minutes before `end` (aware times)."""

    def __init__(self, end: datetime) -> None:
        self._end = int(end.timestamp()) // MINUTE * MINUTE
        self._monitors: dict[str, TrackMonitor] = {}
        self._number = 0
        self._newest = 0
        self.events = 0

    def add(self, events: Iterable[Arrived]) -> None:
        """Count events; those from `end` on are left out, as are those that were outside then."""
        inside = [each for each in events if each.event.created_at.timestamp() < self._end]
        self.events += len(inside)
        self._number += 1
        rollups, newest = roll_up(0, self._number, self._number, inside)
        self._newest = max(self._newest, newest)
        for rollup in rollups:
            self._monitor(rollup).counts.add(rollup)

    def judge(self, rules: Rules) -> Iterator[list[Alert]]:
        """The states of the alerts of one track after the other, in their order."""
        bound = min(self._end, self._newest // 1000 // MINUTE * MINUTE)
        for name in sorted(self._monitors):
            yield self._monitors[name].close(bound, rules)

    @property
    def tracks(self) -> int:
        """How many there are."""
        return len(self._monitors)

    def _monitor(self, rollup: Rollup) -> TrackMonitor:
        monitor = self._monitors.get(rollup.track)
        if monitor is None:
            monitor = self._monitors[rollup.track] = TrackMonitor(rollup.track)
        return monitor


def compare(would: Iterable[Alert], did: Iterable[Alert], start: datetime) -> list[Past]:
    """Alerts that fire from `start` on, side by side, the earliest first.

    Two are the same spike when they are of one series and overlap in time.
    """
    left = sorted(_last_states(did, start).values(), key=_order)
    rows: list[Past] = []
    for alert in sorted(_last_states(would, start).values(), key=_order):
        match = next((other for other in left if _overlap(alert, other)), None)
        if match is not None:
            left.remove(match)
        rows.append(Past(alert, alert, match))
    rows += [Past(alert, None, alert) for alert in left]
    return sorted(rows, key=lambda row: _order(row.alert))


def _last_states(alerts: Iterable[Alert], start: datetime) -> Mapping[str, Alert]:
    last: dict[str, Alert] = {}
    for alert in alerts:
        if alert.fired_at >= start and (
            alert.id not in last or alert.sequence >= last[alert.id].sequence
        ):
            last[alert.id] = alert
    return last


def _overlap(one: Alert, other: Alert) -> bool:
    if (one.track, one.series) != (other.track, other.series):
        return False
    ever = datetime.max.replace(tzinfo=UTC)
    return one.onset <= (other.cleared_at or ever) and other.onset <= (one.cleared_at or ever)


def _order(alert: Alert) -> tuple[datetime, str, str]:
    return alert.fired_at, alert.track, alert.series
