"""What the alerts say now: the topic `alerts` read into memory, by whoever shows them.

The topic is compacted and has one record or more an alert, so the topic is the state: a reader
that begins at its start holds every alert, and needs no store of its own.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from contextlib import closing, suppress
from datetime import datetime

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from pipeline.alerts.alert import Alert, State, alert_decoder
from pipeline.background import Rounds
from pipeline.clients import consumer
from pipeline.errors import UNDECODABLE, ServerUnavailable
from pipeline.records import Record
from pipeline.settings import Settings
from pipeline.topics import ALERTS

CLEARED_KEPT = 5000
"""Alerts that are over and stay in memory, the newest of them."""
_CHANGES_KEPT = 1000
_RETRY_SECONDS = 2.0

log = logging.getLogger(__name__)


class AlertBoard:
    """The newest state of each alert. Thread-safe."""

    def __init__(self, cleared_kept: int = CLEARED_KEPT) -> None:
        self._cleared_kept = cleared_kept
        self._alerts: dict[str, Alert] = {}
        self._changes: deque[tuple[int, Alert]] = deque(maxlen=_CHANGES_KEPT)
        self._version = 0
        self._lock = threading.Lock()

    def put(self, alert: Alert) -> bool:
        """Take in a state; False where it is known already, or older than what is known.

        One of the same number replaces the other: its evidence names a post no more.
        """
        with self._lock:
            known = self._alerts.get(alert.id)
            if known is not None and (alert.sequence < known.sequence or alert == known):
                return False
            self._alerts[alert.id] = alert
            self._version += 1
            self._changes.append((self._version, alert))
            self._forget()
            return True

    def remove(self, alert: str) -> None:
        """Forget one: its record was deleted from the topic."""
        with self._lock:
            self._alerts.pop(alert, None)

    def get(self, alert: str) -> Alert | None:
        """The alert of this id."""
        with self._lock:
            return self._alerts.get(alert)

    def firing(self) -> list[Alert]:
        """Those that are not over."""
        with self._lock:
            return [alert for alert in self._alerts.values() if alert.state != "cleared"]

    def select(
        self,
        track: str | None = None,
        states: tuple[State, ...] = (),
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> list[Alert]:
        """Those of a track, in one of the states, that were going on in [start, end).

        The active come first, of these the unmuted, the most severe; then the newest.
        """
        with self._lock:
            alerts = list(self._alerts.values())
        found = [
            alert
            for alert in alerts
            if (track is None or alert.track == track)
            and (not states or alert.state in states)
            and (end is None or alert.onset < end)
            and (start is None or alert.cleared_at is None or alert.cleared_at >= start)
        ]
        return sorted(found, key=_rank)

    def changes(self, after: int) -> tuple[list[Alert], int]:
        """States taken in after a version, and the version now."""
        with self._lock:
            return [alert for at, alert in self._changes if at > after], self._version

    def _forget(self) -> None:
        over = [alert for alert in self._alerts.values() if alert.state == "cleared"]
        if len(over) > self._cleared_kept + self._cleared_kept // 10:
            over.sort(key=lambda alert: alert.updated_at)
            for alert in over[: len(over) - self._cleared_kept]:
                del self._alerts[alert.id]


def _rank(alert: Alert) -> tuple[object, ...]:
    over = alert.state == "cleared"
    newest = -alert.updated_at.timestamp()
    return (over, newest) if over else (over, alert.muted, -alert.severity, newest)


class AlertFollower:
    """Keeps a board up to date from a thread of its own, through failures of Kafka."""

    def __init__(self, settings: Settings, board: AlertBoard) -> None:
        self._settings = settings
        self._board = board
        self._stop = threading.Event()
        self._caught_up = threading.Event()
        self._thread = threading.Thread(target=self._run, name="alerts", daemon=True)

    @property
    def caught_up(self) -> bool:
        """Whether everything that stood in the topic at the start was read."""
        return self._caught_up.is_set()

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def close(self) -> None:
        """Stop, and wait for the thread."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(10)

    def _run(self) -> None:
        rounds = Rounds("reading the alerts", KafkaError, ServerUnavailable)
        while not self._stop.is_set():
            with rounds.round(), closing(consumer(self._settings, None)) as source:
                self._follow(source)
            if rounds.error is not None:
                self._stop.wait(_RETRY_SECONDS)

    def _follow(self, source: KafkaConsumer) -> None:
        places = _assign(source)
        ends = source.end_offsets(places)
        while not self._stop.is_set():
            for records in source.poll(timeout_ms=300).values():
                _put(self._board, records)
            if not self._caught_up.is_set() and all(source.position(p) >= ends[p] for p in places):
                self._caught_up.set()


def _assign(source: KafkaConsumer) -> list[TopicPartition]:
    numbers = source.partitions_for_topic(ALERTS)
    if not numbers:
        raise ServerUnavailable(f"there is no topic {ALERTS}: run weathervane topics create")
    places = [TopicPartition(ALERTS, number) for number in sorted(numbers)]
    source.assign(places)
    source.seek_to_beginning(*places)
    return places


def _put(board: AlertBoard, records: list[Record]) -> None:
    for record in records:
        if record.value is None:
            board.remove((record.key or b"").decode("utf-8", "replace"))
            continue
        # Another's record is no alert; whoever tells of alerts says so.
        with suppress(*UNDECODABLE):
            board.put(alert_decoder.decode(record.value))
