"""What is still to be published, given what was: one record a state change, also after a crash."""

from __future__ import annotations

from collections.abc import Callable, Iterable

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


def without_posts(states: Iterable[Alert], gone: Callable[[str], bool]) -> list[Alert]:
    """The states to publish so that no alert names a post that is `gone`, given all that `alerts`
    holds, in its order.

    They keep their numbers: nobody is told of them again. Where the monitor published the next one
    meanwhile, it stands before ours, and goes behind it once more: compaction keeps what is last.
    """
    last: dict[str, Alert] = {}
    newest: dict[str, Alert] = {}
    named: set[str] = set()
    for alert in states:
        last[alert.id] = alert
        if alert.id not in newest or alert.sequence >= newest[alert.id].sequence:
            newest[alert.id] = alert
        if any(gone(post) for post in alert.evidence.exemplars):
            named.add(alert.id)
    wanted = [_without(newest[name], gone) for name in newest if name in named]
    return [alert for alert in wanted if alert != last[alert.id]]


def _without(alert: Alert, gone: Callable[[str], bool]) -> Alert:
    left = tuple(post for post in alert.evidence.exemplars if not gone(post))
    evidence = msgspec.structs.replace(alert.evidence, exemplars=left)
    return msgspec.structs.replace(alert, evidence=evidence)
