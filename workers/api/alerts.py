"""What the routes answer about alerts, and the commands that they pass on to the monitor."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import Annotated, Literal

import msgspec
from kafka import KafkaProducer
from kafka.errors import KafkaError

from pipeline.alerts.alert import Action, Alert, AlertCommand, State
from pipeline.alerts.board import AlertBoard, AlertFollower
from pipeline.clients import producer
from pipeline.errors import UNDECODABLE, ServerUnavailable
from pipeline.headers import cloud_event
from pipeline.settings import Settings
from pipeline.times import AwareTime
from pipeline.topics import ALERT_COMMANDS
from workers.api.errors import BadQuery, UnknownAlert
from workers.api.views import ShownPost

StateFilter = Literal["active", "fired", "updated", "cleared"]
ANSWER_SECONDS = 10.0
_STATES: dict[StateFilter | None, tuple[State, ...]] = {
    None: (),
    "active": ("fired", "updated"),
    "fired": ("fired",),
    "updated": ("updated",),
    "cleared": ("cleared",),
}


class Alerts(msgspec.Struct):
    """Alerts: the active first, of these the most severe; then the newest."""

    alerts: list[Alert]
    more: bool
    """Whether there are others behind the limit."""


class AlertDetail(msgspec.Struct):
    """An alert and its exemplars, with their texts where they are still kept."""

    alert: Alert
    posts: list[ShownPost]


class CommandBody(msgspec.Struct, forbid_unknown_fields=True):
    """What may be said with a command."""

    by: Annotated[str, msgspec.Meta(min_length=1, max_length=80)] = "page"
    """Who says it."""
    until: AwareTime | None = None
    """End of a mute; for ever unless given."""


class Accepted(msgspec.Struct):
    """The command was passed on; the monitor answers it with the next state of the alert."""

    alert: str
    action: Action
    sequence: int
    """Of the state that the command was given to."""


_bodies = msgspec.json.Decoder(CommandBody)


class AlertDesk:
    """The board of alerts, kept up to date from `alerts`, and the way to the monitor."""

    def __init__(self, settings: Settings) -> None:
        self.board = AlertBoard()
        self._settings = settings
        self._follower = AlertFollower(settings, self.board)
        self._producer: KafkaProducer | None = None
        self._lock = threading.Lock()

    def open(self) -> None:
        """Begin to read."""
        self._follower.start()

    def close(self) -> None:
        """Stop reading, close what was opened."""
        self._follower.close()
        if self._producer is not None:
            self._producer.close()

    def alerts(
        self,
        track: str | None,
        state: StateFilter | None,
        start: datetime | None,
        end: datetime | None,
        limit: int,
    ) -> Alerts:
        """Those that match.

        Raises:
            ServerUnavailable: they have not been read yet.
        """
        self._caught_up()
        found = self.board.select(track, _STATES[state], start, end)
        return Alerts(found[:limit], len(found) > limit)

    def get(self, alert: str) -> Alert:
        """The alert of this id.

        Raises:
            UnknownAlert: there is none.
            ServerUnavailable: they have not been read yet.
        """
        self._caught_up()
        found = self.board.get(alert)
        if found is None:
            raise UnknownAlert(f"There is no alert {alert[:80]!r}.")
        return found

    def command(self, alert: str, action: Action, body: bytes) -> Accepted:
        """Pass a command on to the monitor.

        Raises:
            BadQuery: the body is not what is expected.
            UnknownAlert: there is no such alert.
            ServerUnavailable: Kafka does not answer.
        """
        said = _said(body, action)
        known = self.get(alert)
        now = datetime.now(UTC)
        if said.until is not None and said.until <= now:
            raise BadQuery("until: that time has passed.")
        command = AlertCommand(
            alert=alert, track=known.track, action=action, by=said.by, at=now, until=said.until
        )
        self._send(command)
        return Accepted(alert, action, known.sequence)

    def _send(self, command: AlertCommand) -> None:
        headers = cloud_event("weathervane.alert.command", "weathervane/api", command.alert, [])
        try:
            with self._lock:
                if self._producer is None:
                    self._producer = producer(self._settings)
            sent = self._producer.send(
                ALERT_COMMANDS,
                key=command.track.encode(),
                value=msgspec.json.encode(command),
                headers=headers,
            )
            sent.get(timeout=ANSWER_SECONDS)
        except KafkaError as error:
            raise ServerUnavailable(f"Kafka does not take the command: {error}") from error

    def _caught_up(self) -> None:
        if not self._follower.caught_up:
            raise ServerUnavailable("The alerts are not read yet; Kafka may not answer.")


def _said(body: bytes, action: Action) -> CommandBody:
    try:
        said = _bodies.decode(body or b"{}")
    except UNDECODABLE as error:
        raise BadQuery(f"body: {error}") from error
    if said.until is not None and action != "mute":
        raise BadQuery("until: only a mute has an end.")
    return said
