"""One sender for each kind of channel, made from its configuration for each sending."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from pydantic import SecretStr

from pipeline.alerts.alert import Alert
from pipeline.errors import SettingsError
from pipeline.notify.config import Alertmanager, AnyChannel, Chat, Language, Mail
from pipeline.notify.messages import Message
from pipeline.notify.payloads import Poster, webhook_body
from pipeline.notify.signing import signature_headers
from pipeline.settings import PREFIX
from workers.notify.chat import ChatSender
from workers.notify.http import post
from workers.notify.mail import MailSender

_JSON = {"Content-Type": "application/json", "User-Agent": "Weathervane"}


class Sender(Protocol):
    """Sends one message; calls `about_to` right before its receiver could act on it."""

    def send(self, message: Message, about_to: Callable[[], None]) -> None:
        """Raises Refused or Unsure."""


@dataclass(frozen=True, slots=True)
class Voice:
    """In what language, and with links to which page."""

    language: Language
    page: str


def make_sender(channel: AnyChannel, secrets: Mapping[str, SecretStr], voice: Voice) -> Sender:
    """The sender of a channel. Files and secrets are read each time: they may be rotated.

    Raises:
        SettingsError: a secret or its file is not there, or the address is none.
    """
    if isinstance(channel, Mail):
        return MailSender(channel, secret_of(channel, "password", secrets))
    if isinstance(channel, Alertmanager):
        return alertmanager_sender(channel, secrets, voice)
    url = secret_of(channel, "url", secrets) or ""
    if isinstance(channel, Chat):
        return ChatSender(channel.name, url)
    return WebhookSender(url, secret_of(channel, "key", secrets))


def alertmanager_sender(
    channel: Alertmanager, secrets: Mapping[str, SecretStr], voice: Voice
) -> AlertmanagerSender:
    """The sender of an Alertmanager. Raises SettingsError."""
    return AlertmanagerSender(channel, secret_of(channel, "url", secrets) or "", voice)


def secret_of(channel: AnyChannel, field: str, secrets: Mapping[str, SecretStr]) -> str | None:
    """A value of a channel, be it given plainly, as a secret's name or as a file.

    Raises:
        SettingsError: there is no such secret or file.
    """
    plain: str | None = getattr(channel, field, None)
    name: str | None = getattr(channel, f"{field}_secret", None)
    path: Path | None = getattr(channel, f"{field}_file", None)
    if name is not None:
        if name.lower() not in secrets:
            variable = f"{PREFIX}NOTIFY_SECRETS__{name.upper()}"
            raise SettingsError(f"channel {channel.name!r}: {field}_secret: {variable} is not set")
        return secrets[name.lower()].get_secret_value()
    if path is not None:
        try:
            return path.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise SettingsError(
                f"channel {channel.name!r}: {field}_file: cannot read {path}: {error.strerror}"
            ) from error
    return plain


class WebhookSender:
    """POST of one alert, with its name and where there is a key its signature."""

    def __init__(self, url: str, key: str | None) -> None:
        self._url = url
        self._key = key

    def send(self, message: Message, about_to: Callable[[], None]) -> None:
        """Raises Refused or Unsure."""
        body = webhook_body(message)
        now = int(datetime.now(UTC).timestamp())
        named = signature_headers(message.key, now, body, self._key)
        post(self._url, body, _JSON | named, about_to)


class AlertmanagerSender:
    """POST of what is firing, and of what no longer is, to Alertmanager's API v2."""

    def __init__(self, channel: Alertmanager, url: str, voice: Voice) -> None:
        resolve_after = timedelta(minutes=channel.resolve_minutes)
        self._url = url.rstrip("/") + "/api/v2/alerts"
        self._poster = Poster(channel.labels, voice.language, voice.page, resolve_after)

    def send(self, message: Message, about_to: Callable[[], None]) -> None:
        """Raises Refused or Unsure."""
        self._post(message.alerts, about_to, message.test)

    def post_again(self, alerts: Iterable[Alert]) -> None:
        """Say once more what is firing. Raises Refused or Unsure."""
        self._post(alerts, lambda: None, test=False)

    def _post(self, alerts: Iterable[Alert], about_to: Callable[[], None], test: bool) -> None:
        body = self._poster.body(alerts, datetime.now(UTC), test)
        post(self._url, body, _JSON, about_to)
