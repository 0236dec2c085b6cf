"""The life of an alert: fired → updated → cleared, from the readings of one series. Pure.

A *run* begins with the first minute that lies `clear` standard deviations above what was expected
and ends after `clear_after` minutes of calm. An alert fires once a run: at an anomaly of the
detector, when the run is strong and large enough for the rule. Its onset is the minute of the run
at which the rise began most likely (pipeline.alerts.onset), since chance begins runs as well.

*Strength* is the larger of two measures in standard deviations: how far this minute lies above
what was expected, and a moving mean of that over about ten minutes, in its own standard deviation
(the detector's surprise), which sees a weak spike that lasts. *Calm* asks a mean over about three
minutes, so that a spike is over soon after its end.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import msgspec

from pipeline.alerts.alert import (
    MOST_SEVERE,
    Acknowledgement,
    Alert,
    AlertCommand,
    Evidence,
    Unit,
    alert_id,
)
from pipeline.alerts.onset import Stretch, lengthen, since_onset
from pipeline.alerts.rules import Rule
from pipeline.buckets import MINUTE
from pipeline.rollups import Cell

LONG, SHORT = 0.097, 0.3
"""Weights of the newest minute in the two moving means."""
LATCH = 5
"""Minutes for which an anomaly that the rule did not let fire is remembered."""
_FIRST, _FACTOR = 4.0, 1.5
"""Severity 1 begins at the first, each further one at the factor of the one before."""


class Reading(msgspec.Struct, frozen=True):
    """What the detector said of one series in one minute."""

    track: str
    series: str
    minute: int
    """Its start, epoch seconds."""
    observed: float
    """NaN where there were too few posts to take a share of."""
    expected: float
    low: float
    high: float
    unit: Unit
    deviation: float
    """Standard deviations above what was expected; 0 where nothing was observed."""
    anomaly: bool
    posts: int
    """Of the series."""


class Run(msgspec.Struct):
    """Minutes above what was expected."""

    onset: int
    """The most likely one so far; of an alert that fired it stays."""
    cell: Cell
    """Sums over all posts of the track since the onset."""
    posts: int = 0
    """Of the series, since the onset."""
    peak: float = 0.0
    """The largest strength."""
    calm: int = 0
    """Minutes of calm in a row."""
    fired: bool = False
    """Whether its alert did; the alert may be over, where it is one that was published before."""
    rise: list[Stretch] = []
    """All minutes, until the alert fires."""


class Life(msgspec.Struct):
    """All that is remembered of one series between two minutes."""

    long: float = 0.0
    short: float = 0.0
    anomaly: int | None = None
    """The last minute with an anomaly above what was expected."""
    run: Run | None = None
    alert: Alert | None = None
    """The last state of the last alert."""
    quiet_until: int = 0
    """End of the cool-down, epoch seconds."""
    bar: float = 0.0
    """In the cool-down fires only what is more severe than this strength."""
    muted_until: datetime | None = None

    @property
    def open(self) -> bool:
        """Whether an alert is fired and not cleared."""
        return self.alert is not None and self.alert.state != "cleared"


def severity(strength: float) -> int:
    """1-10, as `Alert.severity` states."""
    if strength < _FIRST * _FACTOR:
        return 1
    steps = math.floor(math.log(strength / _FIRST) / math.log(_FACTOR) + 1e-9)
    return min(1 + steps, MOST_SEVERE)


def step(life: Life, reading: Reading, cell: Cell, rule: Rule | None) -> Alert | None:
    """Take in the next minute of a series; the alert's next state where there is one.

    `cell` are the posts of the track in that minute. With no rule nothing fires, and an open alert
    ends by the default one.
    """
    limits = rule or Rule()
    strength = _strength(life, reading)
    if reading.anomaly and reading.deviation > 0:
        life.anomaly = reading.minute
    _run(life, reading, cell, strength, limits)
    if life.open:
        return _go_on(life, reading, limits)
    if rule is None or not _fires(life, reading, strength, rule):
        return None
    return _fire(life, reading, rule)


def command(life: Life, given: AlertCommand) -> Alert | None:
    """Take in what a person does about the alert; its next state, None where nothing changes."""
    alert = life.alert
    if alert is None or alert.id != given.alert:
        return None
    acknowledged, muted = alert.acknowledged, alert.muted
    if given.action == "acknowledge":
        acknowledged = acknowledged or Acknowledgement(given.by, given.at)
    elif given.action == "unacknowledge":
        acknowledged = None
    elif given.action == "mute":
        muted = True
        life.muted_until = given.until or datetime.max.replace(tzinfo=UTC)
    else:
        muted = False
        life.muted_until = None
    if (acknowledged, muted) == (alert.acknowledged, alert.muted):
        return None
    life.alert = msgspec.structs.replace(
        alert,
        sequence=alert.sequence + 1,
        acknowledged=acknowledged,
        muted=muted,
    )
    return life.alert


def _strength(life: Life, reading: Reading) -> float:
    if math.isnan(reading.observed):
        return 0.0
    life.long += LONG * (reading.deviation - life.long)
    life.short += SHORT * (reading.deviation - life.short)
    return max(reading.deviation, life.long / _deviation_of_mean(LONG))


def _deviation_of_mean(weight: float) -> float:
    """Of a moving mean of independent values of standard deviation 1 (Roberts, 1959)."""
    return math.sqrt(weight / (2.0 - weight))


def _run(life: Life, reading: Reading, cell: Cell, strength: float, rule: Rule) -> None:
    """Begin, lengthen or end the run."""
    above = max(reading.deviation, life.short / _deviation_of_mean(SHORT)) >= rule.clear
    run = life.run
    if run is None:
        if not above:
            return
        run = life.run = Run(reading.minute, Cell())
    run.fired |= life.open
    _extend(run, reading, cell)
    run.peak = max(run.peak, strength)
    if math.isnan(reading.observed):
        run.calm += cell.posts == 0
    else:
        run.calm = 0 if above else run.calm + 1
    if run.calm >= rule.clear_after and not life.open:
        life.run = None


def _extend(run: Run, reading: Reading, cell: Cell) -> None:
    """Add a minute, and look for the onset again where nobody was told of it."""
    if run.fired:
        run.posts += reading.posts
        run.cell.add(cell)
        return
    observed = 0 if math.isnan(reading.observed) else 1
    minute = Stretch(reading.minute, Cell(), reading.posts, observed, reading.deviation)
    minute.cell.add(cell)
    lengthen(run.rise, minute)
    since = since_onset(run.rise)
    run.onset, run.cell, run.posts = since.start, since.cell, since.posts


def _fires(life: Life, reading: Reading, strength: float, rule: Rule) -> bool:
    run, anomaly = life.run, life.anomaly
    if run is None or anomaly is None or reading.minute - anomaly > LATCH * MINUTE:
        return False
    if strength < rule.fire or run.posts < rule.minimum_posts or math.isnan(reading.observed):
        return False
    return reading.minute >= life.quiet_until or severity(strength) > severity(life.bar)


def _fire(life: Life, reading: Reading, rule: Rule) -> Alert:
    run = life.run or Run(reading.minute, Cell())
    end = _end(reading)
    muted_until = life.muted_until
    life.anomaly = None
    run.fired, run.rise = True, []
    life.alert = Alert(
        id=alert_id(reading.track, reading.series, run.onset),
        state="fired",
        sequence=1,
        track=reading.track,
        series=reading.series,
        severity=severity(run.peak),
        onset=_moment(run.onset),
        fired_at=end,
        updated_at=end,
        observed=reading.observed,
        expected=reading.expected,
        low=reading.low,
        high=reading.high,
        unit=reading.unit,
        deviation=reading.deviation,
        posts=run.posts,
        rule=rule.name,
        muted=rule.mute or (muted_until is not None and end < muted_until),
        evidence=_evidence(run.cell, Evidence()),
    )
    return life.alert


def _go_on(life: Life, reading: Reading, rule: Rule) -> Alert | None:
    """An open alert: over, more severe, or nothing new."""
    alert, run = life.alert, life.run
    if alert is None or run is None:
        return None
    changes: dict[str, object] = {
        "sequence": alert.sequence + 1,
        "updated_at": _end(reading),
        "severity": max(alert.severity, severity(run.peak)),
        "posts": run.posts,
        "evidence": _evidence(run.cell, alert.evidence),
    }
    if not math.isnan(reading.observed):
        changes |= {
            name: getattr(reading, name)
            for name in ("observed", "expected", "low", "high", "deviation")
        }
    if run.calm >= rule.clear_after:
        life.quiet_until = reading.minute + MINUTE * (1 + rule.cool_down)
        life.bar = run.peak
        life.run = None
        changes |= {"state": "cleared", "cleared_at": _end(reading)}
    elif severity(run.peak) >= alert.severity + rule.step:
        changes |= {"state": "updated"}
    else:
        return None
    life.alert = msgspec.structs.replace(alert, **changes)
    return life.alert


def _evidence(cell: Cell, before: Evidence) -> Evidence:
    """What the sums of the run say; the rest stays."""
    posts = max(1, cell.posts)
    return msgspec.structs.replace(
        before,
        languages=_shares(cell.languages, posts),
        platforms=_shares(cell.platforms, posts),
        conflict=None if cell.mean_conflict is None else round(cell.mean_conflict, 4),
    )


def _shares(counts: dict[str, int], posts: int) -> dict[str, float]:
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return {name: round(count / posts, 4) for name, count in ordered}


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _end(reading: Reading) -> datetime:
    return _moment(reading.minute) + timedelta(seconds=MINUTE)
