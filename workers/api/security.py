"""What every response carries and which requests are refused before anything reads them.

The page shows what strangers wrote, on a port of the analyst's own machine. Three things follow:
text never becomes markup (the policy below is the second line behind `textContent`), no other
site may read or embed the answers, and no foreign name may be bound to this address.
Sources: OWASP ASVS 3.4 (browser security mechanisms), Fetch Metadata (W3C).
"""

from __future__ import annotations

import logging
from collections.abc import Collection

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from workers.api.errors import error_response

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "font-src 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types default",
    )
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})

log = logging.getLogger(__name__)


class Guard:
    """ASGI middleware: security headers, the allowed hosts, no cross-origin use, no traceback.

    It wraps the whole application, so that errors, static files and streams carry the headers.

    Args:
        hosts: names under which the page is served, besides those of the loopback.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str] = ()) -> None:
        self._app = app
        self._hosts = LOOPBACK | {host.lower() for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or pass on with the headers added to the answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def send_guarded(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        refusal = self._refusal(scope["method"], Headers(scope=scope))
        if refusal is not None:
            await error_response(*refusal)(scope, receive, send_guarded)
            return
        try:
            await self._app(scope, receive, send_guarded)
        except Exception:
            log.exception("%s %s failed", scope["method"], scope["path"])
            if started:
                raise
            response = error_response(500, "The server failed on this request; its log says why.")
            await response(scope, receive, send_guarded)

    def _refusal(self, method: str, headers: Headers) -> tuple[int, str] | None:
        host = headers.get("host", "")
        if _name(host) not in self._hosts:
            return 421, f"This server does not answer for the host {host[:80]!r}."
        origin = headers.get("origin")
        if origin is not None and origin.split("://", 1)[-1] != host:
            return 403, "Requests from other origins are refused."
        site = headers.get("sec-fetch-site", "none")
        link = method in {"GET", "HEAD"} and headers.get("sec-fetch-mode") == "navigate"
        if site in {"cross-site", "same-site"} and not link:
            return 403, "Requests from other sites are refused."
        return None


def _name(host: str) -> str:
    """The name of a Host header without its port: `[::1]:80` -> `[::1]`."""
    name, _, port = host.rpartition(":")
    return (name if name and port.isdigit() else host).lower()
