"""Live alerts against their replay after an outage of infer.

The posts of the outage are sent at once, with the times that they would have had: the order in
which they are read is that of a real one, and a trial takes minutes.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from confluent_kafka import Producer

from pipeline.topics import RAW_PREFIX
from tests.pipeline.planted import events, whole_minutes_ago
from tests.trials.harness import Trial
from tests.waiting import until
from tests.workers.monitoring import Monitoring, lines

pytestmark = [pytest.mark.trial, pytest.mark.timeout(3000)]
MINUTES, RATE = 240, 12
SPIKE_BEFORE_THE_END = 4
"""The minutes of the spike that are in the outage."""
SECONDS = 900
"""Longest wait: a trial is not about a busy machine."""
_CALM = ("on the way home", "what a day", "好开心", "the meeting is at three", "this is awful")
_ANGRY = ("I am furious, this is an outrage", "气死我了，太过分了")

Sent = tuple[datetime, str, str, bytes]
"""When it was written, the topic, the key, the value."""


@pytest.fixture
def monitoring(trial: Trial) -> Iterator[Monitoring]:
    """The same servers, looked at as the monitor's tests do."""
    with closing(Monitoring(trial.kafka, trial.redis, trial.stack.folder)) as made:
        yield made


def test_trial_26a_infer_away_for_5_minutes(trial: Trial, monitoring: Monitoring) -> None:
    """Infer away for 5 minutes, two raw topics, a producer with another partitioner."""
    _outage(trial, monitoring, 5)


def test_trial_26b_infer_away_for_30_minutes(trial: Trial, monitoring: Monitoring) -> None:
    """Infer away for 30 minutes, two raw topics, a producer with another partitioner."""
    _outage(trial, monitoring, 30)


def _outage(trial: Trial, monitoring: Monitoring, minutes: int) -> None:
    start = whole_minutes_ago(MINUTES)
    posts = list(_posts(start))
    gone = start + timedelta(minutes=MINUTES - minutes)
    before = [each for each in posts if each[0] < gone]
    _send(trial, before)
    until(lambda: _counted(monitoring) == len(before), "what came before is counted", SECONDS)
    trial.control("stopProcess", "workers:infer", True)
    _send(trial, posts[len(before) :])
    trial.control("startProcess", "workers:infer", False)
    until(lambda: _counted(monitoring) == len(posts), "all is counted", SECONDS)
    until(lambda: not _differ(trial, start), "live alerts equal their replay", 120)
    found = monitoring.alerts()
    assert "volume" in {alert.series for alert in found}, lines(found)
    trial.row.posts = len(posts)
    trial.row.lost = max(0, len(posts) - _counted(monitoring))
    trial.row.double = max(0, _counted(monitoring) - len(posts))
    trial.row.wrong = monitoring.counts()["all"].late
    assert (trial.row.lost, trial.row.double, trial.row.wrong) == (0, 0, 0)


def _posts(start: datetime) -> Iterator[Sent]:
    """A calm stream with a spike that begins in the outage; every other post is a status."""
    dice = random.Random(26)
    for number, event in enumerate(
        events(start, MINUTES, MINUTES - SPIKE_BEFORE_THE_END, rate=RATE)
    ):
        words = _ANGRY if event.dominant == "anger" else _CALM
        text, name = f"{dice.choice(words)} {number}", f"{number}"
        created = event.created_at.isoformat()
        body = {"id": f"weathervane:{name}", "created_at": created, "text": text}
        if number % 2:
            body = {"id": name, "created_at": created, "content": f"<p>{text}</p>"}
        platform = "mastodon" if number % 2 else "weathervane"
        yield event.created_at, f"{RAW_PREFIX}{platform}", name, json.dumps(body).encode()


def _send(trial: Trial, posts: list[Sent]) -> None:
    """In the order of their times, with the partitioner of librdkafka (CRC32)."""
    producer = Producer({"bootstrap.servers": trial.kafka, "partitioner": "consistent"})
    for _, topic, key, value in posts:
        producer.produce(topic, value, key)
        producer.poll(0)
    assert producer.flush(60) == 0


def _counted(monitoring: Monitoring) -> int:
    counts = monitoring.counts().get("all")
    return 0 if counts is None else counts.posts


def _differ(trial: Trial, start: datetime) -> list[str]:
    """Alerts that would fire and did not, or did and would not, or say another thing."""
    end = datetime.now(UTC) + timedelta(minutes=1)
    arguments = ("--from", start.isoformat(), "--to", end.isoformat(), "--json")
    done = trial.stack.weathervane("replay", *arguments, KAFKA=trial.kafka)
    found = json.loads(done.stdout)
    return [each["id"] for name in ("would", "did") for each in found[name]]
