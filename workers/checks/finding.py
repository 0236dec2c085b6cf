"""What a check found, in plain words."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Literal

import msgspec

Level = Literal["ok", "warning", "failed"]
"""`failed` will hurt; a `warning` works, and is less than one may expect."""


class Finding(msgspec.Struct, frozen=True):
    """One line of the report."""

    level: Level
    text: str


def ok(text: str) -> Finding:
    """Nothing is wrong."""
    return Finding("ok", text)


def warning(text: str) -> Finding:
    """It works, and somebody should know."""
    return Finding("warning", text)


def failed(text: str) -> Finding:
    """It will hurt."""
    return Finding("failed", text)


def unless_found(found: Iterable[Finding], good: str) -> list[Finding]:
    """What was found, or else that all is good."""
    return list(found) or [ok(good)]


def by_topic(found: Iterable[tuple[str, Finding]]) -> list[Finding]:
    """The same said of several topics in one line."""
    topics: dict[Finding, list[str]] = defaultdict(list)
    for topic, finding in found:
        topics[finding].append(topic)
    return [
        Finding(finding.level, f"{_several(names)}: {finding.text}")
        for finding, names in topics.items()
    ]


def _several(names: list[str]) -> str:
    shown = ", ".join(names[:3])
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown
