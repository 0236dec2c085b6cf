"""One partition of `rollups`: its tracks, its event-time clock. Pure but for what it is given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import msgspec

from pipeline.alerts.alert import Alert, AlertCommand
from pipeline.alerts.rules import Rules
from pipeline.alerts.track import Counts, TrackMonitor, Watch
from pipeline.buckets import MINUTE
from pipeline.rollups import Clock, Heard, Progress, Record

_counts = msgspec.msgpack.Decoder(Counts)
_watches = msgspec.msgpack.Decoder(Watch)
_heard = msgspec.msgpack.Decoder(dict[int, Heard])
_encoder = msgspec.msgpack.Encoder()


@dataclass(slots=True)
class Step:
    """What a batch changed."""

    alerts: list[Alert] = field(default_factory=list)
    counted: set[str] = field(default_factory=set)
    """Tracks whose counts are another."""
    judged: set[str] = field(default_factory=set)
    """Tracks whose watch is another as well."""
    heard: bool = False
    """Whether the clock knows more."""
    repeats: int = 0


class Shard:
    """The tracks of one partition, in event time.

    Args:
        sources: the number of partitions of `sentiment`.
        lateness_ms: how much older than the newest a post may be.
        clock: as an earlier shard has kept it.
    """

    def __init__(self, sources: int, lateness_ms: int, clock: bytes | None = None) -> None:
        heard = None if clock is None else _heard.decode(clock)
        self._clock = Clock(sources, lateness_ms, heard)
        self._tracks: dict[str, TrackMonitor] = {}

    def restore(self, counts: Mapping[str, bytes], watches: Mapping[str, bytes]) -> None:
        """Take over the tracks as their tables have kept them."""
        for track, value in counts.items():
            kept = watches.get(track)
            watch = None if kept is None else _watches.decode(kept)
            self._tracks[track] = TrackMonitor(track, _counts.decode(value), watch)

    @property
    def tracks(self) -> Mapping[str, TrackMonitor]:
        """By name."""
        return self._tracks

    @property
    def complete(self) -> int:
        """Event time up to which minutes are closed, epoch milliseconds."""
        return self._clock.complete

    def take(self, record: Record, rules: Rules, into: Step) -> None:
        """Take in the next record of the partition."""
        if isinstance(record, Progress):
            into.heard = True
            self._close(self._clock.hear(record), rules, into)
            return
        monitor = self._tracks.get(record.track)
        if monitor is None:
            monitor = self._tracks[record.track] = TrackMonitor(record.track)
        if monitor.counts.add(record):
            into.counted.add(record.track)
        else:
            into.repeats += 1

    def command(self, given: AlertCommand, into: Step) -> None:
        """Take in what a person does about an alert."""
        monitor = self._tracks.get(given.track)
        alert = None if monitor is None else monitor.command(given)
        if alert is not None:
            into.alerts.append(alert)
            into.judged.add(given.track)

    def adopt(self, published: Iterable[Alert]) -> None:
        """Take over the alerts as they were published."""
        for alert in published:
            self._tracks[alert.track].adopt(alert)

    def clock(self) -> bytes:
        """What is known of the partitions of `sentiment`."""
        return _encoder.encode(self._clock.heard)

    def counts(self, track: str) -> bytes:
        """The counts of a track, as their table keeps them."""
        return _encoder.encode(self._tracks[track].counts)

    def watch(self, track: str) -> bytes:
        """The watch of a track, as its table keeps it."""
        return _encoder.encode(self._tracks[track].watch())

    def _close(self, complete_ms: int, rules: Rules, into: Step) -> None:
        bound = complete_ms // 1000 // MINUTE * MINUTE
        for track, monitor in self._tracks.items():
            if bound > monitor.counts.closed:
                into.alerts += monitor.close(bound, rules)
                into.counted.add(track)
                into.judged.add(track)
