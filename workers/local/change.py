"""What another wish means for the workers that run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Change:
    """Names of workers: those started anew, those that are new, and those that are to go."""

    again: tuple[str, ...]
    new: tuple[str, ...]
    gone: tuple[str, ...]

    @classmethod
    def between(cls, before: Mapping[str, str], after: Mapping[str, str]) -> Change:
        """From two wishes by name, each a digest."""
        return cls(
            again=tuple(n for n in after if n in before and before[n] != after[n]),
            new=tuple(n for n in after if n not in before),
            gone=tuple(n for n in before if n not in after),
        )

    @property
    def ended(self) -> tuple[str, ...]:
        """Those that do not run on."""
        return (*self.again, *self.gone)

    @property
    def started(self) -> tuple[str, ...]:
        """Those that start."""
        return (*self.again, *self.new)

    def __bool__(self) -> bool:
        return bool(self.again or self.new or self.gone)

    def __str__(self) -> str:
        parts = (("restarting", self.again), ("starting", self.new), ("ending", self.gone))
        said = [f"{word} {', '.join(names)}" for word, names in parts if names]
        return "; ".join(said).capitalize() + "; all else runs on."
