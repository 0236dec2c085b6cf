"""The files that the settings name: tracks, rules, channels, secrets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase

from pipeline.alerts.rules import RuleFile
from pipeline.notify.config import load_config
from pipeline.settings import Settings
from pipeline.tracks import TrackFile
from workers.checks.finding import Finding, failed, ok, unless_found, warning
from workers.notify.senders import Voice, make_sender


def check_tracks(settings: Settings) -> list[Finding]:
    """Whether the tracks can be read."""
    return [ok(", ".join(TrackFile(settings.tracks).current().names))]


def check_rules(settings: Settings) -> list[Finding]:
    """Whether the rules can be read, and name tracks that there are."""
    rules = RuleFile(settings.rules).current()
    names = ", ".join(rules.names)
    good = names if settings.rules is not None else f"the rules that ship: {names}"
    tracks = {rule.name: rule.tracks for rule in rules.rules}
    return unless_found(_unknown(settings, "rule", tracks.items()), good)


def check_notify(settings: Settings) -> list[Finding]:
    """Whether the channels can be read and have their secrets, and name tracks that there are."""
    if settings.notify is None:
        return [ok("no channels are set: nobody is told of alerts")]
    config = load_config(settings.notify)
    for channel in config.channel:
        make_sender(channel, settings.notify_secrets, Voice(config.language, ""))
    tracks = {channel.name: channel.tracks for channel in config.channel}
    names = ", ".join(tracks)
    if not tracks:
        return [warning(f"{settings.notify} names no channel: nobody is told of alerts")]
    return unless_found(_unknown(settings, "channel", tracks.items()), names)


def check_author(settings: Settings) -> list[Finding]:
    """Whether authors are hashed."""
    if settings.secret("author_salt"):
        return [ok("authors are published as salted hashes")]
    return [ok("no salt is set: events carry no author, and only Bluesky's accounts can be hidden")]


def _unknown(
    settings: Settings, what: str, named: Iterable[tuple[str, tuple[str, ...]]]
) -> Iterator[Finding]:
    """Patterns that no track fits: what they are for never comes."""
    tracks = TrackFile(settings.tracks).current().names
    for name, patterns in named:
        for pattern in patterns:
            if not any(fnmatchcase(track, pattern) for track in tracks):
                yield failed(
                    f"{what} {name!r}: there is no track {pattern!r}; the tracks are "
                    f"{', '.join(tracks)}"
                )
