"""Chat and everything else that Apprise knows: Slack, Feishu, DingTalk, WeCom, ntfy …"""

from __future__ import annotations

import logging
from collections.abc import Callable

from pipeline.errors import SettingsError
from pipeline.notify.messages import Message
from workers.notify.http import SEND_SECONDS
from workers.notify.outcome import Refused, Unsure

_log = logging.getLogger("apprise")


class ChatSender:
    """Sends through one Apprise address."""

    def __init__(self, channel: str, url: str) -> None:
        self._channel = channel
        self._url = url

    def send(self, message: Message, about_to: Callable[[], None]) -> None:
        """Send as plain text, cut to what the service takes in one message.

        Raises:
            Refused: the service was not reached, or said no. Apprise does not tell a service that
                took the message without answering from one that was not reached.
            Unsure: it took longer than the bound.
            SettingsError: Apprise knows no such address.
        """
        from apprise import Apprise, AppriseAsset, NotifyFormat, NotifyType, PersistentStoreMode
        from apprise.common import OverflowMode
        from apprise.result import AppriseResultStatus

        # Apprise names addresses in what it logs, and those hold tokens.
        _log.propagate = False
        asset = AppriseAsset(
            storage_mode=PersistentStoreMode.MEMORY,
            app_id="Weathervane",
            app_desc="Weathervane",
            app_url=message.link,
            http_redirects=False,
        )
        service = Apprise.instantiate(self._url, asset=asset)
        if service is None:
            raise SettingsError(
                f"channel {self._channel!r}: its address is none that Apprise knows"
            )
        service.overflow_mode = OverflowMode.TRUNCATE
        apprise = Apprise(asset=asset)
        apprise.add(service)
        over = all(alert.state == "cleared" for alert in message.alerts)
        about_to()
        result = apprise.notify(
            title=message.title,
            body=message.body,
            notify_type=NotifyType.SUCCESS if over else NotifyType.WARNING,
            body_format=NotifyFormat.TEXT,
            timeout=SEND_SECONDS,
        )
        if result.status == AppriseResultStatus.TIMEOUT:
            raise Unsure(f"no answer within {SEND_SECONDS:.0f} s")
        if not result:
            said = [str(entry.message) for entry in result.logs()]
            raise Refused(said[-1] if said else "Apprise says only that it failed")
