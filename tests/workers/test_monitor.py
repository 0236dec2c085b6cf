"""The monitor against a real Kafka: one alert a spike, whatever is killed; no trap of Faust."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipeline.alerts.alert import AlertCommand
from pipeline.post import encoder
from pipeline.settings import Settings
from pipeline.topics import ALERT_COMMANDS, POSTS, ROLLUPS, SENTIMENT, dead_letter_topic
from tests.pipeline.planted import event, events, whole_minutes_ago
from tests.waiting import until
from tests.workers.monitoring import Monitoring, lines, states
from workers.local.ports import accepts
from workers.replay import replay

pytestmark = [pytest.mark.servers, pytest.mark.timeout(1800)]
MINUTES, SPIKE = 200, 150
WAIT = 240
"""Seconds; far more than it takes on a machine with time."""
SERIES = {"volume", "emotion:anger", "polarity:negative"}


@pytest.fixture
def monitoring(kafka: str, redis_url: str, tmp_path: Path) -> Iterator[Monitoring]:
    made = Monitoring(kafka, redis_url, tmp_path)
    made.clean()
    yield made
    made.close()
    made.clean()


def test_one_alert_a_spike_though_it_is_killed_and_history_is_replayed(
    monitoring: Monitoring,
) -> None:
    start = whole_minutes_ago(MINUTES)
    first = monitoring.start(MONITOR_IDLE_SECONDS=30)
    sent = monitoring.feed(events(start, MINUTES, SPIKE, tracks=("all", "games")))
    # On most machines before it published anything; what follows holds either way.
    until(lambda: monitoring.read(ROLLUPS), "there are rollups", WAIT)
    first.kill()

    second = monitoring.start()
    until(monitoring.alerts, "an alert is out", WAIT)
    second.kill()

    with monitoring.running() as third:

        def cleared() -> bool:
            third.alive()
            return _cleared(monitoring) == 6

        until(cleared, "every alert is cleared", WAIT)
        assert not accepts("127.0.0.1", 6066), "the web server of Faust is off"
        assert third.get("/healthz")[0] == 200
        assert 'weathervane_ready{stage="monitor"} 1.0' in third.get("/metrics")[1]
    before = monitoring.alerts()
    found = states(before)
    assert len(found) == 6, lines(before)
    assert {(a.track, a.series) for a in before} == {
        (t, s) for t in ("all", "games") for s in SERIES
    }
    for changes in found.values():
        assert [number for number, _ in changes] == list(range(1, len(changes) + 1))
        kinds = Counter(state for _, state in changes)
        assert kinds["fired"] == kinds["cleared"] == 1
    onset = start + timedelta(minutes=SPIKE)
    assert all(abs(alert.onset - onset) < timedelta(minutes=2) for alert in before)

    monitoring.from_the_beginning()
    with monitoring.running():
        until(monitoring.handled, "history was read again", WAIT)
    assert monitoring.alerts() == before
    counts = monitoring.counts()
    assert {track: each.posts for track, each in counts.items()} == {"all": sent, "games": sent}
    assert all(each.late == 0 for each in counts.values())


def _cleared(monitoring: Monitoring) -> int:
    return sum(alert.state == "cleared" for alert in monitoring.alerts())


def test_alerts_equal_their_replay_though_a_backlog_was_read_in_sweeps(
    monitoring: Monitoring, capsys: pytest.CaptureFixture[str]
) -> None:
    """Infer was away and reads one partition after the other, with pauses in between."""
    start = whole_minutes_ago(MINUTES)
    every = list(events(start, MINUTES, SPIKE))
    for number in range(40):
        monitoring.produce(POSTS, b"a post", b"%d" % number)
    with monitoring.running() as monitor:
        for sweep in range(3):
            monitoring.feed(every[sweep::3])
            until(monitoring.handled, "the sweep is handled", WAIT)
            monitor.alive()
            assert not monitoring.alerts(), "nothing is judged before all is there"
        monitoring.commit("infer", POSTS)
        until(lambda: _cleared(monitoring) == 3, "every alert is cleared", WAIT)
        assert monitor.get("/readyz")[0] == 200
        assert "weathervane_monitor_held_seconds" in monitor.get("/metrics")[1]
    assert {track: each.late for track, each in monitoring.counts().items()} == {"all": 0}
    settings = Settings(kafka=monitoring.kafka)
    replay(settings, start, datetime.now(UTC) + timedelta(minutes=1), None, True)
    found = json.loads(capsys.readouterr().out)
    assert (found["would"], found["did"]) == ([], [])
    last = {alert.id: alert for alert in monitoring.alerts()}
    assert {each["id"]: each["posts"] for each in found["both"]} == {
        alert.id: alert.posts for alert in last.values()
    }


def test_an_alert_is_acknowledged_and_muted_by_command(monitoring: Monitoring) -> None:
    start = whole_minutes_ago(160)
    with monitoring.running():
        monitoring.feed(events(start, 160, 150))
        until(monitoring.alerts, "an alert is out", WAIT)
        alert = next(a for a in monitoring.alerts() if a.series == "emotion:anger")
        for action in ("acknowledge", "acknowledge", "mute"):
            given = AlertCommand(
                alert=alert.id,
                track=alert.track,
                action=action,
                by="mei",
                at=datetime(2026, 3, 1, tzinfo=UTC),
            )
            monitoring.produce(ALERT_COMMANDS, encoder.encode(given), alert.track.encode())
        monitoring.produce(ALERT_COMMANDS, b"nonsense", b"all")

        def muted() -> bool:
            return any(each.muted for each in monitoring.alerts())

        until(muted, "the alert is muted", WAIT)
        letters = dead_letter_topic(ALERT_COMMANDS)
        until(lambda: monitoring.read(letters), "nonsense is a dead letter", WAIT)
    said = [each for each in monitoring.alerts() if each.id == alert.id]
    assert [each.sequence for each in said] == list(range(1, len(said) + 1)), lines(said)
    assert said[-1].acknowledged is not None
    assert said[-1].acknowledged.by == "mei"
    [first, second] = [a for a in said if a.acknowledged is not None][:2]
    assert not first.muted
    before = next(a for a in said if a.sequence == first.sequence - 1)
    assert before.updated_at == first.updated_at, "it speaks of the same minute"
    assert second.sequence == first.sequence + 1
    assert said[-1].muted


def test_what_it_cannot_read_is_a_dead_letter_and_its_neighbours_count(
    monitoring: Monitoring,
) -> None:
    now = datetime.now(UTC)
    with monitoring.running():
        for number in range(3):
            monitoring.feed([event(f"weathervane:{number}", now, "joy")])
            monitoring.produce(SENTIMENT, b"nonsense", b"x")
        until(lambda: monitoring.counts().get("all") is not None, "a post is counted", WAIT)
        until(lambda: monitoring.counts()["all"].posts == 3, "every post is counted", WAIT)
        letters = monitoring.read(dead_letter_topic(SENTIMENT))
        assert [message.value() for message in letters] == [b"nonsense"] * 3


def test_a_missing_topic_ends_the_start_with_a_sentence(
    monitoring: Monitoring, tmp_path: Path
) -> None:
    monitoring.remove(ROLLUPS)
    started = time.monotonic()
    with pytest.raises(AssertionError, match="has ended"):
        monitoring.start("without")
    assert time.monotonic() - started < 60
    said = (tmp_path / "without.log").read_text().splitlines()[-1]
    assert said == (
        "weathervane: the topic rollups is missing; create it with: weathervane topics create"
    )
