"""What is still to be published, given what was: one record a state change, also after a crash."""

from __future__ import annotations

import msgspec

from pipeline.alerts.alert import Alert


def reconcile(published: Alert | None, wanted: Alert) -> Alert | None:
    """The state to publish so that `alerts` says what `wanted` says; None where it does already.

    After a crash the monitor goes through its last minutes again and wants what it wanted before,
    which is out. Commands may then come in between in another order: the state takes the next
    sequence, with all that either of the two says.
    """
    if published is None or wanted.sequence > published.sequence:
        return wanted
    cleared = "cleared" in (published.state, wanted.state)
    newer = wanted if wanted.severity > published.severity else published
    ends = wanted if wanted.state == "cleared" else published
    merged = msgspec.structs.replace(
        ends if cleared else newer,
        sequence=published.sequence,
        severity=max(published.severity, wanted.severity),
        acknowledged=published.acknowledged or wanted.acknowledged,
        muted=published.muted or wanted.muted,
    )
    said = ("state", "severity", "acknowledged", "muted")
    if all(getattr(merged, name) == getattr(published, name) for name in said):
        return None
    return msgspec.structs.replace(merged, sequence=published.sequence + 1)
