"""How a sending can fail.

Exception
├── Refused     the receiver did not take it: it may be sent again
├── Unsure      the receiver may have taken it: it did not answer
└── Superseded  another process has taken the message over: it must not be sent
"""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_OF_THE_RECEIVER = frozenset({429, 502, 503, 504})
"""Answers that say nothing about the message: too many of them, or no receiver behind a gateway."""
_FINAL = frozenset({400, 401, 403, 404, 405, 410, 411, 413, 414, 415, 422, 431})


class Refused(Exception):
    """The receiver said no, or was not reached.

    Args:
        final: the receiver would say no again, so the message is given up.
        answered: the receiver looked at the message; what it refuses may be this one alone.
        retry_after: seconds that the receiver asked to be left alone (RFC 9110, 10.2.3).
    """

    def __init__(
        self,
        reason: str,
        final: bool = False,
        *,
        answered: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(reason)
        self.final = final
        self.answered = answered
        self.retry_after = retry_after


class Unsure(Exception):
    """The whole message went out and no answer came."""


class Superseded(Exception):
    """The claim is another's now."""


def refused_by_status(
    host: str, status: int, said: str, retry_after: str | None, now: datetime | None = None
) -> Refused:
    """The refusal that an HTTP status other than 2xx stands for; `said` is the answer's body."""
    first = " ".join(said.split())[:200]
    hint = " (redirects are not followed)" if 300 <= status < 400 else ""
    reason = f"{host} answered {status}{hint}: {first}".removesuffix(": ")
    return Refused(
        reason,
        status in _FINAL or 300 <= status < 400,
        answered=status not in _OF_THE_RECEIVER,
        retry_after=retry_seconds_of(retry_after, now or datetime.now(UTC)),
    )


def retry_seconds_of(value: str | None, now: datetime) -> float | None:
    """The seconds of a `Retry-After`, be they given as a number or as a date; None without one."""
    if not value:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return max(0.0, (at - now).total_seconds())
