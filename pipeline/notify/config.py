"""Channels: who hears of which alerts, in TOML that is read again whenever it changes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

import msgspec

from pipeline.alerts.alert import MOST_SEVERE, Alert, State
from pipeline.errors import SettingsError
from pipeline.watched import WatchedFile, read_toml

Language = Literal["en", "zh"]
_label = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
Doubt = Literal["repeat", "skip"]
"""What becomes of a message that a killed process may or may not have sent."""


class Channel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every kind of channel has. An empty filter lets everything pass.

    `tracks` and `series` are patterns with `*`; `language` is that of the messages.
    """

    name: str
    tracks: tuple[str, ...] = ()
    series: tuple[str, ...] = ()
    min_severity: int = 1
    states: tuple[State, ...] = ("fired", "updated", "cleared")
    language: Language | None = None
    per_minute: int = 60
    """Most messages in any minute."""
    give_up_minutes: float = 60.0
    """How long a message is tried before it counts as failed."""
    in_doubt: Doubt = "repeat"

    def wants(self, alert: Alert, any_state: bool = False) -> bool:
        """Whether the filters let this state of the alert pass; muting is not looked at."""
        return (
            (any_state or alert.state in self.states)
            and alert.severity >= self.min_severity
            and _among(alert.track, self.tracks)
            and _among(alert.series, self.series)
        )


class Webhook(Channel, frozen=True, kw_only=True, tag="webhook", tag_field="kind"):
    """POST of JSON, signed where there is a key.

    Of a value, its `_secret` (a name among the settings' `notify_secrets`) and its `_file`, one
    is given.
    """

    url: str | None = None
    url_secret: str | None = None
    url_file: Path | None = None
    key_secret: str | None = None
    key_file: Path | None = None


class Alertmanager(Channel, frozen=True, kw_only=True, tag="alertmanager", tag_field="kind"):
    """An Alertmanager, or what speaks its API v2, at its base address."""

    url: str | None = None
    url_secret: str | None = None
    url_file: Path | None = None
    labels: dict[str, str] = {}
    resolve_minutes: float = 5.0
    """It resolves what it has not heard of for so long; what fires is posted three times in it."""


class Chat(Channel, frozen=True, kw_only=True, tag="chat", tag_field="kind"):
    """Any service that Apprise knows. Its address holds a token, so it is never written here."""

    url_secret: str | None = None
    url_file: Path | None = None
    per_minute: int = 20
    in_doubt: Doubt = "skip"


class Mail(Channel, frozen=True, kw_only=True, tag="mail", tag_field="kind"):
    """E-mail over SMTP."""

    host: str
    port: int = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    user: str | None = None
    password_secret: str | None = None
    password_file: Path | None = None
    sender: str = msgspec.field(name="from")
    to: tuple[str, ...]
    per_minute: int = 20
    in_doubt: Doubt = "skip"


AnyChannel = Webhook | Alertmanager | Chat | Mail


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    page: str | None = None
    """Address of the page as the readers of messages reach it, for links."""
    language: Language = "en"
    max_age_hours: float = 24.0
    """A change of state that was published longer ago than this is not told any more."""
    channel: tuple[AnyChannel, ...] = ()


class ConfigFile(WatchedFile[Config]):
    """The file, read again whenever it changes."""

    def __init__(self, path: Path | None) -> None:
        super().__init__(path, "channels", load_config, Config(), _names)

    @property
    def config(self) -> Config:
        """As of the last look."""
        return self._value


def _names(config: Config) -> list[str]:
    return [channel.name for channel in config.channel]


def load_config(path: Path) -> Config:
    """Read and check the channels of a TOML file.

    Raises:
        SettingsError: with the file, the channel, and what is wrong with it.
    """
    config = read_toml(path, Config, "notify", dec_hook=_path)
    names = _names(config)
    for channel in config.channel:
        twice = ["there are two channels of this name"] * (names.count(channel.name) > 1)
        if wrong := [*_wrong(channel), *twice]:
            raise SettingsError(f"notify: {path}: channel {channel.name!r}: {wrong[0]}")
    if config.page is not None and not _is_web(config.page):
        raise SettingsError(f"notify: {path}: page: {config.page!r} is no http(s) address")
    if config.max_age_hours <= 0:
        raise SettingsError(f"notify: {path}: max_age_hours must be above 0")
    return config


def _path(kind: type[Path], value: str) -> Path:
    return kind(value)


def _wrong(channel: AnyChannel) -> Iterator[str]:
    """What is wrong with a channel, the first thing first."""
    if not re.fullmatch(r"[\w.-]{1,64}", channel.name):
        yield "a name is 1-64 letters, digits, . - _"
    if not 1 <= channel.min_severity <= MOST_SEVERE:
        yield f"min_severity is from 1 to {MOST_SEVERE}, not {channel.min_severity}"
    if channel.per_minute < 1 or channel.give_up_minutes <= 0:
        yield "per_minute and give_up_minutes must be above 0"
    if isinstance(channel, Mail):
        if not channel.to:
            yield "to: name at least one address"
        yield from _one_of(channel, "password", needed=False)
        return
    if isinstance(channel, Alertmanager):
        if channel.resolve_minutes <= 0:
            yield "resolve_minutes must be above 0"
        if bad := [name for name in channel.labels if not _label.fullmatch(name)]:
            yield (
                f"labels: {', '.join(map(repr, bad))}: a label name has letters, digits and _, and "
                "begins with no digit; Alertmanager refuses the alert otherwise"
            )
    if isinstance(channel, Webhook):
        yield from _one_of(channel, "key", needed=False)
    url = getattr(channel, "url", None)
    if url is not None and not _is_web(url):
        yield f"url: {url!r} is no http(s) address"
    yield from _one_of(channel, "url", needed=True)


def _one_of(channel: AnyChannel, field: str, needed: bool) -> Iterator[str]:
    """What is wrong where a value, its secret and its file are given together, or none of them."""
    known = [name for name in (field, f"{field}_secret", f"{field}_file") if hasattr(channel, name)]
    given = [name for name in known if getattr(channel, name) is not None]
    if len(given) > 1:
        yield f"give one of {' and '.join(given)}"
    if needed and not given:
        yield f"give one of {', '.join(known)}"


def _among(value: str, patterns: tuple[str, ...]) -> bool:
    return not patterns or any(fnmatchcase(value, pattern) for pattern in patterns)


def _is_web(url: str) -> bool:
    return re.fullmatch(r"https?://[^\s/]+\S*", url) is not None
