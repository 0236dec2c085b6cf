"""A shard under crashes at every step of a batch: the same alerts and counts as without any."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from pipeline.alerts.alert import Alert, AlertCommand
from pipeline.alerts.reconcile import reconcile
from pipeline.alerts.rules import Rules
from pipeline.rollups import Arrived, Progress, Record, roll_up
from tests.pipeline.planted import events
from workers.monitor.shard import Shard, Step

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTES, SPIKE = 165, 120
SOURCES, LATENESS_MS = 2, 60_000
RULES = Rules()
STEPS = ("taken", "published", "watches", "counts", "acknowledged")


def log(seed: int) -> list[Record]:
    """One partition of `rollups`: batches of two partitions of `sentiment` and their progress."""
    dice = random.Random(seed)
    arrived = [
        Arrived(event, int(event.created_at.timestamp() * 1000))
        for event in events(START, MINUTES, SPIKE, seed=3, tracks=("all", "games"))
    ]
    records: list[Record] = []
    for source in range(SOURCES):
        records.append(Progress(partition=source, newest=0, idle=False))
    at = [0] * SOURCES
    for minute in range(0, MINUTES, 3):
        end = START + timedelta(minutes=minute + 3)
        for source in dice.sample(range(SOURCES), SOURCES):
            mine = [
                each
                for number, each in enumerate(arrived)
                if number % SOURCES == source
                and end - timedelta(minutes=3) <= each.event.created_at < end
            ]
            rollups, newest = roll_up(source, at[source], at[source] + len(mine) - 1, mine)
            at[source] += len(mine) + 1
            records += rollups
            records.append(Progress(partition=source, newest=newest, idle=False))
    for source in range(SOURCES):
        end_ms = int((START + timedelta(minutes=MINUTES)).timestamp() * 1000)
        records.append(Progress(partition=source, newest=end_ms, idle=True))
    return records


@dataclass
class World:
    """What outlives a process: the tables, the committed offset, the topic of alerts."""

    records: list[Record]
    counts: dict[str, bytes] = field(default_factory=dict)
    watches: dict[str, bytes] = field(default_factory=dict)
    clock: bytes | None = None
    committed: int = 0
    published: list[Alert] = field(default_factory=list)

    def process(self, dice: random.Random, crashes: float) -> None:
        """One life of a monitor: it ends with the log, or at a random step of a random batch."""
        shard = Shard(SOURCES, LATENESS_MS, self.clock)
        shard.restore(self.counts, self.watches)
        at = self.committed
        while at < len(self.records):
            size = dice.randrange(1, 12)
            dies = dice.choice(STEPS) if dice.random() < crashes else None
            step = Step()
            for record in self.records[at : at + size]:
                shard.take(record, RULES, step)
            if dies == "taken":
                return
            self.publish(shard, step.alerts)
            if dies == "published":
                return
            self.watches |= {track: shard.watch(track) for track in step.judged}
            if dies == "watches":
                return
            self.counts |= {track: shard.counts(track) for track in step.counted}
            self.clock = shard.clock()
            if dies == "counts":
                return
            at += size
            self.committed = min(at, len(self.records))
            if dies == "acknowledged":
                return

    def publish(self, shard: Shard, wanted: list[Alert]) -> None:
        last = {alert.id: alert for alert in self.published}
        for alert in wanted:
            state = reconcile(last.get(alert.id), alert)
            if state is not None:
                self.published.append(state)
                last[state.id] = state
        shard.adopt(last[alert.id] for alert in wanted)


def run(seed: int, crashes: float) -> tuple[World, int]:
    world, dice, lives = World(log(0)), random.Random(seed), 0
    while world.committed < len(world.records):
        world.process(dice, crashes)
        lives += 1
    return world, lives


@pytest.fixture(scope="module")
def undisturbed() -> World:
    return run(0, 0.0)[0]


def test_one_alert_a_series_without_crashes(undisturbed: World) -> None:
    found = {(a.track, a.series): a.id for a in undisturbed.published}
    assert len({a.id for a in undisturbed.published}) == len(found) == 6
    assert [a.state for a in undisturbed.published].count("fired") == 6


@pytest.mark.parametrize("seed", range(4))
def test_crashes_change_no_alert_and_no_count(undisturbed: World, seed: int) -> None:
    world, lives = run(seed, 0.25)
    assert lives > 5
    assert by_id(world) == by_id(undisturbed)
    assert world.counts == undisturbed.counts


def by_id(world: World) -> dict[str, list[bytes]]:
    """The bytes of every state, in the order of each alert."""
    found: dict[str, list[bytes]] = {}
    for alert in world.published:
        found.setdefault(alert.id, []).append(msgspec.json.encode(alert))
    return found


def test_a_log_that_is_read_again_from_its_beginning_publishes_nothing(undisturbed: World) -> None:
    world = World(
        undisturbed.records,
        dict(undisturbed.counts),
        dict(undisturbed.watches),
        published=list(undisturbed.published),
    )
    world.process(random.Random(0), 0.0)
    assert world.published == undisturbed.published
    assert world.counts == undisturbed.counts
    world = World(undisturbed.records, published=list(undisturbed.published))
    world.process(random.Random(0), 0.0)
    assert world.published == undisturbed.published, "not even with empty tables"


def test_posts_that_came_too_late_are_said_with_the_alert() -> None:
    every = [
        Arrived(event, int(event.created_at.timestamp() * 1000))
        for event in events(START, MINUTES, SPIKE, seed=3)
    ]
    onset = START + timedelta(minutes=SPIKE)
    held = [e for e in every if onset <= e.event.created_at < onset + timedelta(minutes=5)][::9]
    shard, step = Shard(1, 60_000), Step()

    def take(batch: list[Arrived], first: int) -> None:
        rollups, newest = roll_up(0, first, first + len(batch) - 1, batch)
        records: list[Record] = [*rollups, Progress(partition=0, newest=newest, idle=False)]
        for record in records:
            shard.take(record, RULES, step)

    for number, each in enumerate(every):
        if each.event.created_at >= onset + timedelta(minutes=8) and held:
            take(held, 10_000)
            held, late = [], held
        if each not in held:
            take([each], number if held else 20_000 + number)
    cleared = {a.series: a for a in step.alerts if a.state == "cleared"}
    assert cleared["volume"].late_posts == len(late) == shard.tracks["all"].counts.late
    angry = sum(each.event.dominant == "anger" for each in late)
    assert cleared["emotion:anger"].late_posts == angry > 0
    assert all(a.late_posts == 0 for a in step.alerts if a.state == "fired")


def test_a_command_for_a_track_that_nobody_knows_changes_nothing() -> None:
    shard, step = Shard(1, 0), Step()
    given = AlertCommand(alert="x", track="none", action="mute", by="mei", at=START)
    shard.command(given, step)
    assert step == Step()
