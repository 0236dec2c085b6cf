"""What the HTTP client below Apprise saw of a notification.

Apprise answers True or False, and keeps to itself which status came, what the receiver said, and
whether anything was sent. All its plugins use `requests`; `requests.Session.request` is public and
is wrapped once here, so that a caller may record what passes in its own context. Apprise copies
that context into the thread that it sends from.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import MaxRetryError, NewConnectionError

_SAID_BYTES = 2000
_NOT_REACHED = (
    requests.exceptions.ConnectTimeout,
    requests.exceptions.ProxyError,
    requests.exceptions.SSLError,
    requests.exceptions.InvalidURL,
    requests.exceptions.MissingSchema,
    requests.exceptions.InvalidSchema,
)


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request: its answer, or the error instead of one."""

    host: str
    target: str
    """Scheme, host and path: requests that post the same kind of thing have the same."""
    response: requests.Response | None
    error: Exception | None

    @property
    def said(self) -> str:
        """The beginning of the answer's body."""
        if self.response is None:
            return ""
        return self.response.content[:_SAID_BYTES].decode("utf-8", "replace")

    @property
    def ok(self) -> bool:
        """Whether a 2xx came."""
        return self.response is not None and 200 <= self.response.status_code < 300

    @property
    def answer(self) -> dict[str, Any]:
        """The answer as a JSON object; empty where it is none."""
        if self.response is None:
            return {}
        try:
            said = json.loads(self.response.content)
        except ValueError:
            return {}
        return said if isinstance(said, dict) else {}

    @property
    def was_sent(self) -> bool:
        """Whether the receiver may have the whole request."""
        if self.error is None or isinstance(self.error, _NOT_REACHED):
            return self.error is None
        causes = self.error.args
        return not any(
            isinstance(cause, NewConnectionError)
            or (isinstance(cause, MaxRetryError) and isinstance(cause.reason, NewConnectionError))
            for cause in causes
        )


_recording: ContextVar[list[Exchange] | None] = ContextVar("recording", default=None)
_install_lock = threading.Lock()


@contextmanager
def recorded() -> Iterator[list[Exchange]]:
    """The requests that this context and copies of it make meanwhile, each added as it ends."""
    _install()
    exchanges: list[Exchange] = []
    token = _recording.set(exchanges)
    try:
        yield exchanges
    finally:
        _recording.reset(token)


def _install() -> None:
    with _install_lock:
        plain = requests.Session.request
        if getattr(plain, "records_exchanges", False):
            return

        def request(self: requests.Session, method: str, url: str, **options: Any) -> Any:
            exchanges = _recording.get()
            if exchanges is None:
                return plain(self, method, url, **options)
            parts = urlsplit(url)
            about = (
                parts.hostname or "",
                f"{method.upper()} {parts.scheme}://{parts.netloc}{parts.path}",
            )
            try:
                response = plain(self, method, url, **options)
            except Exception as error:
                exchanges.append(Exchange(*about, None, error))
                raise
            exchanges.append(Exchange(*about, response, None))
            return response

        request.records_exchanges = True  # type: ignore[attr-defined]
        requests.Session.request = request  # type: ignore[method-assign,assignment]
