"""The life of an alert: once a spike, whatever flaps, and what a person does about it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from pipeline.alerts.alert import Action, Alert, AlertCommand
from pipeline.alerts.lifecycle import Life, Reading, command, severity, step
from pipeline.alerts.reconcile import reconcile
from pipeline.alerts.rules import Rule
from pipeline.rollups import Cell

START = 1_772_366_400
RULE = Rule(cool_down=10, clear_after=3, step=2)
CELL = Cell(parts=[20, 20, *[0] * 9], languages={"en": 15, "zh": 5}, platforms={"x": 20})


def reading(minute: int, deviation: float, anomaly: bool = False, posts: int = 20) -> Reading:
    return Reading(
        track="all",
        series="emotion:anger",
        minute=START + 60 * minute,
        observed=0.5,
        expected=0.1,
        low=0.05,
        high=0.2,
        unit="share",
        deviation=deviation,
        anomaly=anomaly,
        posts=posts,
    )


def lived(
    life: Life, deviations: Sequence[float], rule: Rule | None = RULE, first: int = 0
) -> list[Alert]:
    """The states that come of one deviation a minute; one from 4 on is an anomaly."""
    found = [
        step(life, reading(first + at, deviation, anomaly=deviation >= 4), CELL, rule)
        for at, deviation in enumerate(deviations)
    ]
    return [alert for alert in found if alert is not None]


def said(alerts: Sequence[Alert]) -> list[tuple[int, str]]:
    return [(alert.sequence, alert.state) for alert in alerts]


def test_a_spike_fires_grows_and_clears_once() -> None:
    alerts = lived(Life(), [0, 0, 5, 6, 7, 20, 21, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    assert said(alerts) == [(1, "fired"), (2, "updated"), (3, "cleared")]
    assert len({alert.id for alert in alerts}) == 1
    fired, updated, cleared = alerts
    assert fired.onset == datetime.fromtimestamp(START + 120, UTC)
    assert fired.fired_at == fired.onset + timedelta(minutes=1)
    assert (fired.severity, updated.severity, cleared.severity) == (1, 4, 5)
    assert fired.posts == 20
    assert cleared.cleared_at == cleared.updated_at > updated.updated_at
    assert fired.evidence.languages == {"en": 0.75, "zh": 0.25}


def test_what_chance_lifted_before_the_spike_is_no_part_of_it() -> None:
    [fired] = lived(Life(), [0, 2.3, 0.3, 6.4, 6.0])
    assert fired.onset == datetime.fromtimestamp(START + 180, UTC)
    assert fired.posts == 20
    life = Life()
    assert lived(life, [2.3, 0.3, 3.9, 3.9, 3.9]) == []
    [later] = lived(life, [9.0, 50.0], first=5)[:1]
    assert later.onset == datetime.fromtimestamp(START + 120, UTC)
    assert later.posts == 80


def test_severity_means_what_is_documented() -> None:
    for level in range(1, 11):
        least = 4 * 1.5 ** (level - 1)
        assert severity(least) == level
        assert severity(least * 1.49) == level
    assert severity(0.1) == 1
    assert severity(1e9) == 10


def test_what_flaps_around_the_threshold_is_one_alert() -> None:
    flapping = [5.0, 1.0] * 30
    assert said(lived(Life(), flapping))[0] == (1, "fired")
    assert all(state != "cleared" for _, state in said(lived(Life(), flapping)))


def test_the_cool_down_holds_back_all_but_what_is_stronger() -> None:
    spike = [5.0, 5, 0, 0, 0, 0, 0, 0, 0, 0]
    life = Life()
    [fired, cleared] = lived(life, spike)
    assert cleared.state == "cleared"
    assert lived(life, [5.0, 5, 0, 0, 0], first=10) == [], "in the cool-down"
    stronger = lived(life, [40.0], first=16)
    assert said(stronger) == [(1, "fired")]
    assert stronger[0].id != fired.id
    life = Life()
    lived(life, spike)
    assert said(lived(life, [5.0], first=60)) == [(1, "fired")], "after it"


def test_a_share_of_three_posts_is_no_news_and_an_anomaly_is_remembered_for_a_while() -> None:
    life = Life()
    few = [step(life, reading(at, 9.0, at == 0, posts=3), CELL, RULE) for at in range(4)]
    assert [alert is not None for alert in few] == [False, False, False, True], "12 posts by then"
    life = Life()
    late = [step(life, reading(at, 9.0, at == 0, posts=1), CELL, RULE) for at in range(20)]
    assert late == [None] * 20


def test_below_what_was_expected_nothing_fires_and_without_a_rule_neither() -> None:
    life = Life()
    assert step(life, reading(0, -9.0, anomaly=True), CELL, RULE) is None
    assert lived(Life(), [9.0] * 9, rule=None) == []
    life = Life()
    lived(life, [9.0])
    ends = lived(life, [0.0] * 40, rule=None, first=1)
    assert [alert.state for alert in ends] == ["cleared"], (
        "an open one ends though its rule is gone"
    )


def test_minutes_without_enough_posts_say_nothing_and_silence_is_calm() -> None:
    life = Life()
    lived(life, [9.0])
    few = msgspec.structs.replace(reading(1, 0.0), observed=math.nan)
    for at in range(1, 30):
        waiting = msgspec.structs.replace(few, minute=START + 60 * at)
        assert step(life, waiting, CELL, RULE) is None
    silent = [
        step(life, msgspec.structs.replace(few, minute=START + 60 * at), Cell(), RULE)
        for at in range(30, 40)
    ]
    assert [alert.state for alert in silent if alert] == ["cleared"]


def test_the_id_follows_from_track_series_and_onset() -> None:
    [one] = lived(Life(), [5.0])
    [same] = lived(Life(), [5.0])
    [other] = lived(Life(), [5.0], first=1)
    assert msgspec.json.encode(one) == msgspec.json.encode(same)
    assert one.id != other.id


def given(alert: Alert, action: Action, until: datetime | None = None) -> AlertCommand:
    return AlertCommand(
        alert=alert.id,
        track=alert.track,
        action=action,
        by="mei",
        at=datetime.fromtimestamp(START + 90, UTC),
        until=until,
    )


def test_a_person_acknowledges_once_and_takes_it_back() -> None:
    life = Life()
    [fired] = lived(life, [5.0])
    acknowledged = command(life, given(fired, "acknowledge"))
    assert acknowledged is not None
    assert (acknowledged.sequence, acknowledged.state) == (2, "fired")
    assert acknowledged.acknowledged is not None
    assert acknowledged.acknowledged.by == "mei"
    assert acknowledged.updated_at == fired.updated_at, "it speaks of the same minute"
    assert command(life, given(fired, "acknowledge")) is None
    assert lived(life, [30.0], first=1)[0].acknowledged == acknowledged.acknowledged
    back = command(life, given(fired, "unacknowledge"))
    assert back is not None
    assert back.acknowledged is None
    other = msgspec.structs.replace(given(fired, "acknowledge"), alert="unknown")
    assert command(life, other) is None


@pytest.mark.parametrize(("minutes", "muted"), [(30, True), (3, False), (None, True)])
def test_a_mute_holds_for_the_series_until_its_end(minutes: int | None, muted: bool) -> None:
    life = Life()
    [fired, _] = lived(life, [5.0, 5, 0, 0, 0, 0, 0, 0, 0, 0])
    until = None if minutes is None else fired.fired_at + timedelta(minutes=minutes)
    assert command(life, given(fired, "mute", until)) is not None
    [again] = lived(life, [60.0], first=20)
    assert again.muted is muted
    assert lived(Life(), [5.0], rule=msgspec.structs.replace(RULE, mute=True))[0].muted


def test_what_is_out_is_not_published_again() -> None:
    life = Life()
    fired, updated, cleared = lived(life, [5.0, 20, 20, *[0.0] * 12])
    assert reconcile(None, fired) == fired
    for published in (fired, updated, cleared):
        for wanted in (fired, updated, cleared):
            out = reconcile(published, wanted)
            assert out == (wanted if wanted.sequence > published.sequence else None)


def test_a_command_that_came_in_between_takes_nothing_away() -> None:
    life = Life()
    [fired] = lived(life, [5.0])
    acknowledged = command(life, given(fired, "acknowledge"))
    assert acknowledged is not None
    for wanted in lived(Life(), [5.0, 30.0])[1:] + lived(Life(), [5.0, *[0.0] * 12])[1:]:
        out = reconcile(acknowledged, wanted)
        assert out is not None
        assert out.sequence == 3
        assert (out.state, out.severity) == (wanted.state, wanted.severity)
        assert out.acknowledged == acknowledged.acknowledged
        assert reconcile(out, wanted) is None
