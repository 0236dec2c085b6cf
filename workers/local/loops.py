"""A worker that ends time and again at the same record, seen in its log.

The log is what outlives every kind of end, SIGKILL for want of memory among them. Each start says
where the worker reads its first records; one that gets no further says the same place again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

STARTS = 3
_TAIL_BYTES = 1 << 20
_STARTED = re.compile(r" INFO workers\.process: \S+ \S+: metrics and health on port ")
_STOPPED = re.compile(r" INFO workers\.process: \S+ \S+: stopped$")
_READING = re.compile(r" INFO \S+: (?P<place>\S+-\d+): reading from (?P<offset>\d+)$")
_RAISED = re.compile(r"(?P<what>[A-Za-z_][\w.]*(Error|Exception|Exit|Lost|Unavailable)\b.*)$")
_CRITICAL = re.compile(r" CRITICAL \S+: (?P<what>.*)$")


@dataclass(slots=True)
class _Start:
    """What one run of the worker says."""

    places: dict[str, str] = field(default_factory=dict)
    """Where it read its first record, by partition."""
    why: str = ""
    stopped: bool = False


def loop(log: Path) -> str | None:
    """In a sentence, where and why a worker was started three times; None where it was not."""
    starts = _starts(_tail(log))[-STARTS:]
    # The run before the last may be the one that still goes on; an orderly end is no loop.
    if len(starts) < STARTS or any(start.stopped for start in starts):
        return None
    first, *others = starts
    for place, offset in first.places.items():
        if all(start.places.get(place) == offset for start in others):
            why = next((start.why for start in reversed(starts) if start.why), "")
            return (
                f"started {STARTS} times at {place}, offset {offset}, and ended there: "
                f"{why or 'it was killed, perhaps for want of memory'}"
            )
    return None


def _starts(lines: list[str]) -> list[_Start]:
    found: list[_Start] = []
    for line in lines:
        if _STARTED.search(line):
            found.append(_Start())
        elif not found:
            continue
        elif reading := _READING.search(line):
            found[-1].places.setdefault(reading["place"], reading["offset"])
        elif _STOPPED.search(line):
            found[-1].stopped = True
        elif said := _CRITICAL.search(line) or _RAISED.match(line):
            found[-1].why = said["what"][:300]
    return found


def _tail(log: Path) -> list[str]:
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
            return file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return []
