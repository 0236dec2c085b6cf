"""Alerts for tests: the one of the documentation, changed where a test says so."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from pipeline.alerts.alert import Alert, Evidence, Term

ONSET = datetime(2026, 11, 18, 14, 0, tzinfo=UTC)


def an_alert(alert: str = "a1", **changes: Any) -> Alert:
    """A fired alert of joy in the track coffee."""
    made = Alert(
        id=alert,
        state="fired",
        sequence=1,
        track="coffee",
        series="emotion:joy",
        severity=5,
        onset=ONSET,
        fired_at=ONSET + timedelta(minutes=5),
        updated_at=ONSET + timedelta(minutes=5),
        observed=0.42,
        expected=0.18,
        low=0.12,
        high=0.25,
        unit="share",
        deviation=12.31,
        posts=180,
        rule="usual",
        evidence=Evidence(
            exemplars=("bluesky:1", "bluesky:2"),
            terms=(Term("espresso", 0.31, 0.02, 14.2),),
            hashtags=(Term("#coffeeday", 0.2, 0.0, 73.0),),
            languages={"en": 0.8, "zh": 0.2},
            platforms={"bluesky": 1.0},
            repost_share=0.62,
            near_duplicate_share=0.4,
            organic=False,
            conflict=0.6,
        ),
    )
    return msgspec.structs.replace(made, **changes)


def updated(alert: Alert, severity: int) -> Alert:
    """Its next state: the severity grew."""
    return msgspec.structs.replace(
        alert,
        state="updated",
        sequence=alert.sequence + 1,
        severity=severity,
        updated_at=alert.updated_at + timedelta(minutes=2),
    )


def cleared(alert: Alert) -> Alert:
    """Its next state: it is over."""
    end = alert.updated_at + timedelta(minutes=10)
    return msgspec.structs.replace(
        alert, state="cleared", sequence=alert.sequence + 1, updated_at=end, cleared_at=end
    )
