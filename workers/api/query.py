"""Query parameters: times, steps and spans, with their defaults and bounds. Pure."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import datetime

from pipeline.times import epoch_ms, parse_time
from workers.api.errors import BadQuery

MINUTE, HOUR, DAY = 60, 3600, 86_400
STEPS = (MINUTE, 5 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR, 3 * HOUR, 6 * HOUR, DAY)
"""Bucket widths, in seconds, that a chart or a stream chooses from."""
MAX_BUCKETS = 1500
"""A day of minutes fits; more is a question for a wider step."""
_LOST_PLUS = re.compile(r"(T\d\d:\d\d(?::\d\d)?(?:\.\d+)?) (\d\d:\d\d)$")


@dataclass(frozen=True, slots=True)
class Window:
    """Buckets of `step` seconds from `start` (inclusive) to `end` (exclusive), epoch seconds."""

    start: int
    end: int
    step: int


def parse_window(start: str | None, end: str | None, step: int | None, newest: int) -> Window:
    """The window that a request asks for, widened outwards to whole buckets.

    Args:
        start, end: RFC 3339 or an epoch number, or None.
        step: seconds, or None for the finest that keeps the answer within MAX_BUCKETS.
        newest: epoch second of the newest data. Without `start` and `end` the window is its UTC
            day; with one of them, one day to or from it.

    Raises:
        BadQuery, Unreadable: with the parameter and what is expected.
    """
    last = _seconds(end, "to")
    first = _seconds(start, "from")
    if last is None:
        last = (newest // DAY + 1) * DAY if first is None else first + DAY
    if first is None:
        first = last - DAY
    if first >= last:
        raise BadQuery("from must be before to.")
    step = fit_step(last - first) if step is None else check_step(step)
    window = Window(first // step * step, math.ceil(last / step) * step, step)
    buckets = (window.end - window.start) // step
    if buckets > MAX_BUCKETS:
        raise BadQuery(
            f"step: {step} s from {window.start} to {window.end} makes {buckets} buckets; "
            f"at most {MAX_BUCKETS} are answered. Ask for a wider step or a shorter window."
        )
    return window


def fit_step(span: float, buckets: int = MAX_BUCKETS - 1) -> int:
    """The finest step with which `span` seconds take no more than `buckets` buckets."""
    days = math.ceil(span / DAY / buckets)
    return next((step for step in STEPS if span / step <= buckets), days * DAY)


def check_step(step: int) -> int:
    """`step` if buckets of that width can be made of minutes, hours or days.

    Raises:
        BadQuery: it is not a whole number of minutes, or does not divide a day evenly.
    """
    if step <= 0 or step % MINUTE or (step % DAY and DAY % step):
        raise BadQuery(
            f"step: {step} is no bucket width; give whole minutes that divide a day, or whole "
            f"days, in seconds, like {', '.join(map(str, STEPS))}."
        )
    return step


def parse_moment(value: str | None, name: str) -> datetime | None:
    """The time that a parameter gives: RFC 3339, or an epoch number.

    Raises:
        Unreadable: with the parameter and what is expected.
    """
    if value is None or not value.strip():
        return None
    number = value.strip()
    if re.fullmatch(r"-?\d+(\.\d+)?", number):
        return parse_time(float(number), name)
    # An unescaped "+" of an offset arrives as a space.
    return parse_time(_LOST_PLUS.sub(r"\1+\2", number), name)


def _seconds(value: str | None, name: str) -> int | None:
    moment = parse_moment(value, name)
    return None if moment is None else epoch_ms(moment) // 1000
