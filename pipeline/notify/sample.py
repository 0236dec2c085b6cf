"""The alert that `weathervane notify test` sends: invented, and marked as a test everywhere."""

from __future__ import annotations

from datetime import datetime, timedelta

from pipeline.alerts.alert import Alert, Evidence, Term


def sample_alert(now: datetime) -> Alert:
    """An alert that looks like a real one, of this minute."""
    minute = now.replace(second=0, microsecond=0)
    onset = minute - timedelta(minutes=4)
    return Alert(
        id=f"test-{int(now.timestamp())}",
        state="fired",
        sequence=1,
        track="all",
        series="emotion:joy",
        severity=5,
        onset=onset,
        fired_at=minute,
        updated_at=minute,
        observed=0.42,
        expected=0.18,
        low=0.12,
        high=0.25,
        unit="share",
        deviation=20.3,
        posts=180,
        rule="test",
        evidence=Evidence(
            terms=(Term("espresso", 0.31, 0.02, 14.2),),
            hashtags=(Term("#coffeeday", 0.2, 0.0, 73.0),),
            languages={"en": 0.8, "zh": 0.2},
            platforms={"bluesky": 1.0},
            repost_share=0.08,
            near_duplicate_share=0.03,
            organic=True,
        ),
    )
