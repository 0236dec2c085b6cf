"""What processes hold, by proc(5): resident memory and open descriptors, and whether it grows."""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")
MEBIBYTE = 1 << 20


@dataclass(frozen=True)
class Usage:
    """Of one process, or of several together."""

    bytes: int
    """Resident memory."""
    descriptors: int


def usage(pids: Iterable[int]) -> Usage:
    """Of these processes together; one that has ended counts nothing."""
    held = files = 0
    for pid in pids:
        try:
            held += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
            files += sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
        except (FileNotFoundError, ProcessLookupError):
            continue
    return Usage(held, files)


def anonymous(pids: Iterable[int]) -> int:
    """Bytes that these processes hold together and no file does: heaps, stacks, compiled code.

    Pages of files come and go with what else the machine needs memory for.
    """
    found = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            name, _, size = line.partition(":")
            if name == "Anonymous":
                found += int(size.split()[0]) * 1024
    return found


def slope(times: Sequence[float], values: Sequence[float]) -> float:
    """Growth a second: the median slope over all pairs (Theil 1950, Sen 1968).

    Up to 29% of the values may be anything, such as the peaks of a garbage collector.
    """
    pairs = combinations(zip(times, values, strict=True), 2)
    return statistics.median((b - a) / (t - s) for (s, a), (t, b) in pairs if t > s)
