"""One POST with bounded time, no redirects, and a mark before its first byte."""

from __future__ import annotations

import base64
import http.client
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from urllib.parse import SplitResult, unquote, urlsplit

from workers.notify.outcome import Refused, Unsure, refused_by_status

OPERATION_SECONDS = 10.0
ANSWER_SECONDS = 25.0
"""A receiver that has the message may take this long to say so."""
SEND_SECONDS = 30.0
"""Longest that one sending may take in all."""
_ANSWER_BYTES = 2000


def post(url: str, body: bytes, headers: Mapping[str, str], about_to: Callable[[], None]) -> None:
    """POST the body; any 2xx is success.

    Args:
        about_to: called when the connection stands, before anything is sent.

    Raises:
        Refused: no connection, or another answer than 2xx.
        Unsure: no answer.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise Refused("its address is no http(s) address")
    connection = _connection(parts)
    with bounded(lambda: connection.sock):
        try:
            try:
                connection.connect()
            except (OSError, ValueError) as error:
                raise Refused(f"no connection to {parts.hostname}: {error}") from error
            about_to()
            connection.sock.settimeout(ANSWER_SECONDS)
            try:
                target = parts._replace(scheme="", netloc="", fragment="").geturl() or "/"
                connection.request("POST", target, body, dict(headers) | _authorization(parts))
                answer = connection.getresponse()
                said = answer.read(_ANSWER_BYTES).decode("utf-8", "replace")
            except (OSError, http.client.HTTPException) as error:
                raise Unsure(f"no answer from {parts.hostname}: {error!r}") from error
        finally:
            connection.close()
    if not 200 <= answer.status < 300:
        raise refused_by_status(
            parts.hostname, answer.status, said, answer.getheader("Retry-After")
        )


@contextmanager
def bounded(
    open_socket: Callable[[], socket.socket | None], seconds: float = SEND_SECONDS
) -> Iterator[None]:
    """Shut the socket down after so many seconds, so that a peer that drips is waited for no more.

    The time-out of a socket bounds one operation and not their sum.
    """

    def shut() -> None:
        opened = open_socket()
        if opened is not None:
            with suppress(OSError):
                opened.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, shut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _connection(parts: SplitResult) -> http.client.HTTPConnection:
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    return kind(parts.hostname or "", parts.port, timeout=OPERATION_SECONDS)


def _authorization(parts: SplitResult) -> dict[str, str]:
    if parts.username is None:
        return {}
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
