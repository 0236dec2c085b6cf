"""How far a group may commit while records are worked on out of order."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Hashable


class Offsets:
    """Counts the work left of each record, by its place (a partition) and offset. Thread-safe."""

    def __init__(self) -> None:
        self._left: dict[Hashable, dict[int, int]] = defaultdict(dict)
        self._lock = threading.Lock()

    def begin(self, place: Hashable, offset: int, parts: int) -> None:
        """A record whose work has so many parts; one without any is done at once."""
        if parts:
            with self._lock:
                self._left[place][offset] = parts

    def done(self, place: Hashable, offset: int) -> None:
        """One part is done. Of a place that was forgotten meanwhile, nothing is noted."""
        with self._lock:
            left = self._left[place]
            if offset in left:
                left[offset] -= 1
                if not left[offset]:
                    del left[offset]

    def forget(self, place: Hashable) -> None:
        """Another reads this partition now."""
        with self._lock:
            self._left.pop(place, None)

    def safe(self, place: Hashable, position: int) -> int:
        """The offset to commit: the first that is not done, else the position of the reader."""
        with self._lock:
            return min(self._left[place], default=position)

    def waiting(self) -> int:
        """Records that are not done."""
        with self._lock:
            return sum(map(len, self._left.values()))
