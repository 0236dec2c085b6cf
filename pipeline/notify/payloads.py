"""Messages for machines: the body of a webhook, and the alerts of Alertmanager's API v2."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from pipeline.alerts.alert import Alert
from pipeline.notify.config import Language
from pipeline.notify.messages import Message, compose


class WebhookBody(msgspec.Struct, frozen=True):
    """What a webhook is sent: `type`, `timestamp` and `data` after Standard Webhooks 1.0."""

    type: str
    """`alert.fired`, `alert.updated`, `alert.cleared`; `alert.test` from `notify test`."""
    timestamp: datetime
    """Event time of the change."""
    data: Alert
    title: str
    text: str
    link: str
    """The alert on the page."""


def webhook_body(message: Message) -> bytes:
    """JSON of the message about one alert: the same bytes each time that it is sent."""
    alert = message.alerts[-1]
    kind = "test" if message.test else alert.state
    body = WebhookBody(
        f"alert.{kind}", alert.updated_at, alert, message.title, message.body, message.link
    )
    return msgspec.json.encode(body)


@dataclass(frozen=True, slots=True)
class Poster:
    """Makes the bodies of `POST /api/v2/alerts`.

    The labels are those that stay the same for the life of an alert, since Alertmanager knows an
    alert by them; the severity, which grows, is an annotation. One that fires ends `resolve_after`
    from now unless it is posted again; one that is over, or muted, has ended.
    """

    labels: Mapping[str, str]
    language: Language
    page: str
    resolve_after: timedelta

    def body(self, alerts: Iterable[Alert], now: datetime, test: bool = False) -> bytes:
        """JSON of the alerts as they are at `now`."""
        return msgspec.json.encode([self._posted(alert, now, test) for alert in alerts])

    def _posted(self, alert: Alert, now: datetime, test: bool) -> dict[str, Any]:
        message = compose([alert], self.language, self.page, test)
        over = alert.state == "cleared" or alert.muted
        named = {
            "alertname": "WeathervaneTest" if test else "EmotionSpike",
            "alert_id": alert.id,
            "track": alert.track,
            "series": alert.series,
            "rule": alert.rule,
        }
        return {
            # Event time may run ahead of this clock; an end before the start would be refused.
            "startsAt": min(alert.onset.astimezone(UTC), now),
            "endsAt": now if over else now + self.resolve_after,
            "labels": {**self.labels, **named},
            "annotations": {
                "summary": message.title,
                "description": message.body,
                "severity": str(alert.severity),
            },
            "generatorURL": message.link,
        }
