"""`weathervane notify test`: a sample alert to the channels, and what became of it."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from pipeline.errors import SettingsError, WeathervaneError
from pipeline.notify.config import load_config
from pipeline.notify.messages import compose
from pipeline.notify.sample import sample_alert
from pipeline.settings import Settings
from workers.notify.outcome import Refused, Unsure
from workers.notify.senders import Voice, make_sender
from workers.notify.service import page_of


def send_samples(settings: Settings, name: str | None) -> None:
    """Send to one channel or to every one, and print a line each. Filters are not asked.

    Raises:
        SettingsError: there are no channels, or none of this name.
        WeathervaneError: at least one did not take it.
    """
    if settings.notify is None:
        raise SettingsError("no channels: name their TOML file in WEATHERVANE_NOTIFY")
    config = load_config(settings.notify)
    names = [channel.name for channel in config.channel]
    if not names:
        raise SettingsError(f"notify: {settings.notify} has no channel")
    if name is not None and name not in names:
        raise SettingsError(f"there is no channel {name!r}; there are: {', '.join(names)}")
    alert = sample_alert(datetime.now(UTC))
    failed = []
    width = max(map(len, names))
    for channel in config.channel:
        if name not in {None, channel.name}:
            continue
        voice = Voice(channel.language or config.language, config.page or page_of(settings))
        message = compose([alert], voice.language, voice.page, test=True)
        began = time.monotonic()
        try:
            make_sender(channel, settings.notify_secrets, voice).send(message, lambda: None)
            said = f"delivered in {time.monotonic() - began:.1f} s"
        except (Refused, Unsure, SettingsError) as error:
            failed.append(channel.name)
            said = str(error)
        state = "failed" if channel.name in failed else "ok"
        print(f"{state:<7} {channel.name:<{width}}  {said}", flush=True)
    if failed:
        raise WeathervaneError(f"not delivered: {', '.join(failed)}")
