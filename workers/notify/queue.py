"""What a channel has to tell, and what of it may be told now. Pure: the clock is passed in.

A refused job waits by itself, later and later, and the others go on: what one receiver refuses may
be one alert. The changes of one alert keep their order. A receiver that refuses several in a row is
left alone for up to CHANNEL_SECONDS, and as long as it asks for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from pipeline.alerts.alert import Alert
from pipeline.notify.pace import retry_seconds
from workers.notify.outcome import Refused

DIGEST_CHANGES = 200
CHANNEL_SECONDS = 30.0
"""Longest that a channel waits after several refusals, unless its receiver asks for more."""
_FAILURES_IN_A_ROW = 3


@dataclass(eq=False, slots=True)
class Job:
    """One change to tell one channel of. `done` is called when nothing is left to do."""

    place: object
    alert: Alert
    done: Callable[[], None]
    first_tried: float | None = field(default=None)
    tries: int = 0
    retry_at: float = 0.0
    answered: bool = False
    """Whether the receiver looked at it when it failed last."""
    most: int = DIGEST_CHANGES
    """The largest digest that it may be part of: halved by each that was refused."""


class JobQueue:
    """The jobs of one channel in the order of their changes; `now` is monotonic, in seconds."""

    def __init__(self) -> None:
        self._jobs: list[Job] = []
        self._failures = 0
        self._resume_at = 0.0

    def __len__(self) -> int:
        return len(self._jobs)

    def __iter__(self) -> Iterator[Job]:
        return iter(self._jobs)

    def add(self, job: Job) -> None:
        """Queue a change."""
        self._jobs.append(job)

    def remove(self, jobs: Iterable[Job]) -> None:
        """Nothing is left to do for these."""
        gone = set(map(id, jobs))
        self._jobs = [job for job in self._jobs if id(job) not in gone]

    def wait(self, now: float) -> float | None:
        """Seconds until one may be told, 0 for now; None where nothing waits."""
        firsts: dict[str, Job] = {}
        for job in self._jobs:
            firsts.setdefault(job.alert.id, job)
        if not firsts:
            return None
        soonest = min(job.retry_at for job in firsts.values())
        return max(0.0, soonest - now, self._resume_at - now)

    def batch(self, now: float, most: int) -> list[Job]:
        """Up to `most` jobs that may be told together now, in the order of their changes.

        Of several that could go alone, one that was tried least often.
        """
        if now < self._resume_at:
            return []
        if most == 1:
            return sorted(self._due(now, alone=True), key=lambda job: job.tries)[:1]
        together: list[Job] = []
        for job in self._due(now, alone=False):
            if len(together) >= min(most, job.most):
                break
            together.append(job)
            most = min(most, job.most)
        return together

    def count_due(self, now: float) -> int:
        """How many could be told now, but for the pace."""
        return sum(1 for _ in self._due(now, alone=False)) if now >= self._resume_at else 0

    def failed(self, jobs: Sequence[Job], now: float, error: Refused) -> float:
        """Note that these were refused; the seconds until they are tried again."""
        self._failures += 1
        if self._failures >= _FAILURES_IN_A_ROW:
            more = min(CHANNEL_SECONDS, 2.0 ** (self._failures - _FAILURES_IN_A_ROW))
            self._resume_at = max(self._resume_at, now + more)
        if error.retry_after is not None:
            self._resume_at = max(self._resume_at, now + error.retry_after)
        for job in jobs:
            job.tries += 1
            job.answered = error.answered
            job.retry_at = max(now + retry_seconds(job.tries), self._resume_at)
            if error.answered:
                job.most = max(1, min(job.most, len(jobs) // 2))
        return min(job.retry_at for job in jobs) - now

    def succeeded(self) -> None:
        """Note that the receiver took something: what had not reached it may go at once."""
        self._failures = 0
        self._resume_at = 0.0
        for job in self._jobs:
            if not job.answered:
                job.retry_at = 0.0

    def _due(self, now: float, alone: bool) -> Iterator[Job]:
        """Those that may go and are held back by no earlier change of their alert."""
        held: set[str] = set()
        for job in self._jobs:
            if job.alert.id in held:
                continue
            if job.retry_at > now:
                held.add(job.alert.id)
                continue
            if alone:
                held.add(job.alert.id)
            yield job
