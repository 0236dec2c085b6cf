"""Chat and everything else that Apprise knows: Slack, Feishu, DingTalk, WeCom, ntfy …"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from pipeline.errors import SettingsError
from pipeline.notify.messages import Message, cut_to_bytes
from workers.notify.exchanges import Exchange, recorded
from workers.notify.http import ANSWER_SECONDS, OPERATION_SECONDS, SEND_SECONDS
from workers.notify.outcome import Refused, Unsure, refused_by_status

_log = logging.getLogger("apprise")
_MOST_BYTES = {
    "wecombot": 2048,
    "dingtalk": 20_000,
    "feishu": 19_000,
    "lark": 19_000,
    "ntfy": 4096,
    "ntfys": 4096,
}
"""Bytes of UTF-8 that a service takes in one message, where it counts bytes: Apprise counts
characters, and a Chinese one has three. Feishu counts the JSON around it too."""
_TITLE_GAP = 2
_LATER = frozenset({-1, 130101, 130103, 45009, 45033, 11232, 11233, 99991400})
"""Codes of DingTalk, WeCom and Feishu for "busy" and "too often": the same message may pass later.
Every other code (no such robot, no keyword, wrong signature, wrong payload) would come again."""


class ChatSender:
    """Sends through one Apprise address."""

    def __init__(self, channel: str, url: str) -> None:
        self._channel = channel
        self._url = url

    def send(self, message: Message, about_to: Callable[[], None]) -> None:
        """Send as plain text, cut to what the service takes in one message.

        Raises:
            Refused: the service was not reached, or said no, be it in an answer of 200.
            Unsure: it may have the message and did not answer.
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
        service.socket_connect_timeout = OPERATION_SECONDS
        service.socket_read_timeout = ANSWER_SECONDS
        # Tried again by us, who know whether it may have been taken.
        service.retry = 0
        schema = self._url.partition(":")[0].lower()
        most = _MOST_BYTES.get(schema)
        body = message.body
        if most is not None:
            body = cut_to_bytes(body, most - len(message.title.encode()) - _TITLE_GAP)
        apprise = Apprise(asset=asset)
        apprise.add(service)
        over = all(alert.state == "cleared" for alert in message.alerts)
        about_to()
        with recorded() as exchanges:
            result = apprise.notify(
                title=message.title,
                body=body,
                notify_type=NotifyType.SUCCESS if over else NotifyType.WARNING,
                body_format=NotifyFormat.TEXT,
                timeout=SEND_SECONDS,
            )
        if result.status == AppriseResultStatus.TIMEOUT:
            raise Unsure(f"no answer within {SEND_SECONDS:.0f} s")
        said = [str(entry.message) for entry in result.logs()]
        _check(bool(result), exchanges, said[-1] if said else "Apprise says only that it failed")


def _check(success: bool, exchanges: Sequence[Exchange], said: str) -> None:
    """What a sending came to, by what Apprise says of it and what passed over HTTP.

    Raises:
        Refused, Unsure: as `ChatSender.send`.
    """
    last = exchanges[-1] if exchanges else None
    if last is not None and last.ok and (refusal := _refusal_inside(last)):
        raise refusal
    if success:
        return
    if last is None:
        raise Refused(said)
    if any(one.ok and one.target == last.target for one in exchanges[:-1]):
        raise Unsure(f"{last.host} took a part of the message, and then: {said}")
    if last.error is not None:
        if last.was_sent:
            raise Unsure(f"no answer from {last.host}: {type(last.error).__name__}")
        raise Refused(f"no connection to {last.host}: {type(last.error).__name__}")
    assert last.response is not None  # noqa: S101 (no error, so there is an answer)
    if last.ok:
        raise Refused(f"{last.host} answered 200: {last.said[:200]}", final=True, answered=True)
    raise refused_by_status(
        last.host, last.response.status_code, last.said, last.response.headers.get("Retry-After")
    )


def _refusal_inside(exchange: Exchange) -> Refused | None:
    """The refusal that a robot puts into an answer of 200: `errcode` of DingTalk and WeCom,
    `code` or `StatusCode` of Feishu, `ok` of Slack and Telegram."""
    answer = exchange.answer
    code: Any = answer.get("errcode")
    if code is None and ("msg" in answer or "StatusMessage" in answer):
        code = answer.get("code", answer.get("StatusCode"))
    if code is None and answer.get("ok") is False:
        code = answer.get("error_code", -2)
    if not isinstance(code, int) or isinstance(code, bool) or code == 0:
        return None
    why = next(
        (
            str(answer[name])
            for name in ("errmsg", "msg", "StatusMessage", "error", "description")
            if answer.get(name)
        ),
        "",
    )
    reason = f"{exchange.host} answered 200 and refused the message: code {code} {why[:200]}"
    return Refused(reason.strip(), code not in _LATER, answered=True)
