"""Workers that stand still until their group has given their partitions away, and then go on."""

from __future__ import annotations

import pytest

from tests.trials.harness import WORKERS, Fault, Trial
from tests.waiting import until

pytestmark = [pytest.mark.trial, pytest.mark.timeout(1200)]
TAKEOVER_SECONDS = 90
"""The session (10 s), and a transaction that the zombie left open (30 s, looked for every 10)."""


def test_trial_5_zombies(trial: Trial) -> None:
    """SIGSTOP ingest, infer, aggregate past the session time-out, another takes over; SIGCONT."""
    for role in WORKERS:
        _stand_still(trial, role, trial.posts // (4 * len(WORKERS)))
    trial.settle()


def _stand_still(trial: Trial, role: str, portion: int) -> None:
    original, other = f"{role}-{role}", f"{role}-other"
    with trial.another(role):
        pid = trial.running(role)
        before = trial.progress(role)
        trial.send_posts(portion)
        trial.wait_progress(role, before + 1)
        with trial.stopped(pid):
            trial.send_posts(portion)
            until(
                lambda: set(trial.members(role)) == {other},
                "the session of the stopped worker has ended",
                TAKEOVER_SECONDS,
            )
            fault = Fault(trial, role)
            trial.send_posts(portion)
            trial.recovers(fault, TAKEOVER_SECONDS)
        until(
            lambda: trial.members(role).get(original, 0) > 0,
            "the zombie has joined its group again",
            TAKEOVER_SECONDS,
        )
        trial.send_posts(portion)
