"""One thread a channel: tells it of what waits, at its pace, each change once.

Step 1  What waits is claimed in the ledger; what was told before leaves the queue.
Step 2  The message is offered to the receiver. Right before the first byte that it could act on,
        the ledger says `sending`.
Step 3  The ledger says how it ended, and the record's part of the work is done.

What is refused is tried again, later and later, until `give_up_minutes` have passed; the changes
of other alerts are told meanwhile (`workers.notify.queue`).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import redis
from pydantic import SecretStr

from pipeline.alerts.alert import Alert
from pipeline.alerts.board import AlertBoard
from pipeline.errors import SettingsError
from pipeline.notify.config import Alertmanager, AnyChannel, Chat, Mail
from pipeline.notify.ledger import Change, End, Ledger
from pipeline.notify.messages import Message, compose
from pipeline.notify.pace import TokenBucket
from workers.notify.metrics import Metrics
from workers.notify.outcome import Refused, Superseded, Unsure
from workers.notify.queue import DIGEST_CHANGES, Job, JobQueue
from workers.notify.senders import Voice, alertmanager_sender, make_sender

STORE_RETRY_SECONDS = 1.0
CLOSE_SECONDS = 35.0
IDLE_SECONDS = 60.0
STAND_BY_SECONDS = 1.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Tools:
    """What all couriers of a process share."""

    ledger: Ledger
    board: AlertBoard
    secrets: Mapping[str, SecretStr]
    metrics: Metrics
    active: threading.Event
    """Set while this process is the one that reads `alerts`."""
    page: str
    """Address of the page for links, where the channels' file gives none."""


class Courier:
    """The queue of one channel and the thread that empties it."""

    def __init__(self, channel: AnyChannel, voice: Voice, tools: Tools) -> None:
        self.channel = channel
        self.voice = voice
        self.store_error: redis.RedisError | None = None
        self._tools = tools
        self._bucket = TokenBucket(channel.per_minute, time.monotonic())
        self._waiting = JobQueue()
        self._post_again_at = time.monotonic()
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"notify {channel.name}")
        self._thread.start()

    @property
    def broken(self) -> bool:
        """Whether the thread ended by itself."""
        return not self._thread.is_alive() and not self._stop.is_set()

    def wants(self, alert: Alert) -> bool:
        """Whether the channel is to hear of this state.

        An Alertmanager hears of every state, since what it is not told of any more it resolves;
        what is muted is over for it.
        """
        if isinstance(self.channel, Alertmanager):
            matching = self.channel.wants(alert, any_state=True)
            return matching and not (alert.muted and alert.sequence == 1)
        return self.channel.wants(alert) and not alert.muted

    def submit(self, job: Job) -> None:
        """Queue a change."""
        with self._changed:
            self._waiting.add(job)
            self._changed.notify()
        self._tools.metrics.waiting(self.channel.name, len(self._waiting))

    def forget(self, place: object) -> None:
        """Drop what waits of a partition that another reads now."""
        with self._changed:
            self._waiting.remove([job for job in self._waiting if job.place == place])

    def stop(self) -> None:
        """Send nothing more; the sending in hand ends by itself."""
        self._stop.set()
        with self._changed:
            self._changed.notify()

    def close(self) -> list[Job]:
        """Stop, and wait for the sending in hand; the jobs that are left."""
        self.stop()
        self._thread.join(CLOSE_SECONDS)
        return list(self._waiting)

    def _run(self) -> None:
        while not self._stop.is_set():
            batch = self._next()
            try:
                if batch:
                    self._tell(batch)
                elif not self._stop.is_set():
                    self._post_again()
                self.store_error = None
            except redis.RedisError as error:
                log.warning("channel %s waits: the store does not answer: %r", self.name, error)
                self.store_error = error
                self._stop.wait(STORE_RETRY_SECONDS)

    @property
    def name(self) -> str:
        """Name of the channel."""
        return self.channel.name

    def _next(self) -> list[Job]:
        """What to tell now; empty when it is time to post again, or to stop."""
        with self._changed:
            while not self._stop.is_set():
                now = time.monotonic()
                wait = self._until_post_again(now)
                pause = self._waiting.wait(now)
                if pause is not None:
                    pause = max(pause, self._bucket.wait(now))
                    if pause <= 0:
                        return self._batch(now)
                    wait = min(wait, pause)
                if wait <= 0:
                    return []
                self._changed.wait(wait)
        return []

    def _batch(self, now: float) -> list[Job]:
        """One job, or for people all that waits, where that is more than may go one by one."""
        groups = isinstance(self.channel, Chat | Mail)
        many = groups and self._waiting.count_due(now) > self._bucket.tokens(now)
        return self._waiting.batch(now, DIGEST_CHANGES if many else 1)

    def _tell(self, batch: Sequence[Job]) -> None:
        # A later record of the same change (an acknowledgement) stands for the earlier one.
        jobs = {self._change(job.alert): job for job in batch}
        changes = list(jobs)
        answers = self._tools.ledger.claim(self.name, changes, self.channel.in_doubt)
        for change, answer in zip(changes, answers, strict=True):
            if answer in {"repeated", "unsure"}:
                log.warning(
                    "channel %s: whether alert %s was told before this process began is not "
                    "known; it is %s",
                    self.name,
                    change,
                    "told again" if answer == "repeated" else "not told again",
                )
                self._tools.metrics.ended(self.name, answer)
        mine = [c for c, a in zip(changes, answers, strict=True) if a in {"claimed", "repeated"}]
        self._drop([job for job in batch if self._change(job.alert) not in mine])
        if mine:
            kept = [job for job in batch if self._change(job.alert) in mine]
            alerts = [jobs[change].alert for change in mine]
            self._send(kept, mine, compose(alerts, self.voice.language, self.voice.page))

    def _change(self, alert: Alert) -> Change:
        if isinstance(self.channel, Alertmanager):
            return Change(alert.id, str(alert.sequence))
        return Change.of(alert)

    def _send(self, jobs: Sequence[Job], changes: Sequence[Change], message: Message) -> None:
        phase = "claimed"

        def about_to() -> None:
            nonlocal phase
            if not self._tools.ledger.sending(self.name, changes):
                raise Superseded
            phase = "sending"

        now = time.monotonic()
        self._bucket.take(now)
        for job in jobs:
            job.first_tried = now if job.first_tried is None else job.first_tried
        end = partial(self._end, jobs, changes)
        try:
            make_sender(self.channel, self._tools.secrets, self.voice).send(message, about_to)
        except Superseded:
            self._drop(jobs)
        except Unsure as error:
            if self.channel.in_doubt == "skip":
                log.error("channel %s: %s; it is not sent again", self.name, error)
                end(phase, "doubtful")
            else:
                self._failed(jobs, changes, phase, Refused(str(error), answered=True))
        except Refused as error:
            self._failed(jobs, changes, phase, error)
        except SettingsError as error:
            self._failed(jobs, changes, phase, Refused(str(error)))
        else:
            with self._changed:
                self._waiting.succeeded()
            end(phase, "delivered")

    def _failed(
        self, jobs: Sequence[Job], changes: Sequence[Change], phase: str, error: Refused
    ) -> None:
        now = time.monotonic()
        first = min(job.first_tried or now for job in jobs)
        if error.final:
            log.error(
                "channel %s: %s; it would refuse that again, so %s is not sent: look at the "
                "channel's address, rights and settings",
                self.name,
                error,
                ", ".join(map(str, changes)),
            )
            self._end(jobs, changes, phase, "failed")
            return
        if now - first > self.channel.give_up_minutes * 60:
            log.error("channel %s: given up after %.0f s: %s", self.name, now - first, error)
            self._end(jobs, changes, phase, "failed")
            return
        with self._changed:
            pause = self._waiting.failed(jobs, now, error)
        log.warning("channel %s: retrying in %.0f s: %s", self.name, pause, error)
        self._tools.metrics.ended(self.name, "retried")
        if phase == "sending":
            self._tools.ledger.release(self.name, changes)

    def _end(self, jobs: Sequence[Job], changes: Sequence[Change], phase: str, end: End) -> None:
        """Record the end; while the store does not answer, nothing else is told."""
        while True:
            try:
                self._tools.ledger.end(self.name, changes, phase, end)
                break
            except redis.RedisError as error:
                log.warning("channel %s: %s, not recorded yet: %r", self.name, end, error)
                self.store_error = error
                if self._stop.wait(STORE_RETRY_SECONDS):
                    return
        log.info("channel %s: %s: %s", self.name, end, ", ".join(map(str, changes)))
        self._tools.metrics.ended(self.name, end, len(changes))
        self._drop(jobs)

    def _drop(self, jobs: Sequence[Job]) -> None:
        """Nothing is left to do for these."""
        with self._changed:
            self._waiting.remove(jobs)
        for job in jobs:
            job.done()
        self._tools.metrics.waiting(self.name, len(self._waiting))

    def _until_post_again(self, now: float) -> float:
        if not isinstance(self.channel, Alertmanager):
            return IDLE_SECONDS
        return self._post_again_at - now if self._tools.active.is_set() else STAND_BY_SECONDS

    def _post_again(self) -> None:
        """Alertmanager resolves what it does not hear of: say what is firing, three times in that.

        Needs no ledger: it says what is so, and says nothing new where that was said before.
        """
        if not isinstance(self.channel, Alertmanager):
            return
        self._post_again_at = time.monotonic() + self.channel.resolve_minutes * 60 / 3
        firing = [
            alert
            for alert in self._tools.board.firing()
            if self.channel.wants(alert, any_state=True) and not alert.muted
        ]
        if not firing:
            return
        try:
            sender = alertmanager_sender(self.channel, self._tools.secrets, self.voice)
            sender.post_again(firing)
        except (Refused, Unsure, SettingsError) as error:
            log.warning("channel %s: what is firing could not be posted: %s", self.name, error)
            self._post_again_at = min(self._post_again_at, time.monotonic() + 10)
