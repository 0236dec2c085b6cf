"""Combine: rollups by track, dead letters, and progress to every partition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import msgspec
from kafka import TopicPartition

from pipeline.headers import Headers
from pipeline.post import encoder
from pipeline.records import Outgoing
from pipeline.rollups import Progress, Rollup, decoder
from pipeline.telemetry import Telemetry
from pipeline.topics import ROLLUPS, SENTIMENT
from tests.pipeline.planted import event
from workers.monitor.combine import HEARTBEAT_SECONDS, HELD_SECONDS, Combine
from workers.monitor.frontier import Look, Stage

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)


@dataclass
class Read:
    """A record of `sentiment`."""

    partition: int
    offset: int
    value: bytes | None
    timestamp: int = NOW_MS + 100_000
    topic: str = SENTIMENT
    key: bytes | None = b"key"
    headers: Headers = field(default_factory=list)


class Bench:
    """A combine with its surroundings in hand."""

    def __init__(self, assigned: Sequence[int] = (0, 1)) -> None:
        self.now = 100.0
        self.assigned = set(assigned)
        self.unread = False
        self.combine = Combine(
            idle_seconds=5.0,
            lateness_ms=120_000,
            targets=3,
            assigned=lambda: self.assigned,
            upstream=self.look,
            telemetry=Telemetry("monitor"),
            clock=lambda: self.now,
            wall=lambda: NOW.timestamp() + self.now,
        )

    def look(self) -> Look:
        """A post before infer, or nothing."""
        place = TopicPartition("posts", 0)
        ends, done = {place: 1}, {place: 0 if self.unread else 1}
        empty = Stage("", {}, {})
        return Look(self.now, [empty, Stage("infer", ends, done), empty])

    def progress(self, answers: Sequence[Outgoing]) -> dict[int, Progress]:
        """By source, after a look that each of them goes to every target."""
        found: dict[int, Progress] = {}
        targets: dict[int, list[int | None]] = {}
        for out in answers:
            record = decoder.decode(out.value or b"")
            if isinstance(record, Progress):
                assert (out.topic, out.key) == (ROLLUPS, None)
                found[record.partition] = record
                targets.setdefault(record.partition, []).append(out.partition)
        assert all(each == [0, 1, 2] for each in targets.values())
        return found


def read(partition: int, offset: int, seconds: float, *tracks: str, revision: int = 0) -> Read:
    made = event(f"x:{offset}", NOW + timedelta(seconds=seconds), "joy", ("all", *tracks))
    made = msgspec.structs.replace(made, revision=revision)
    return Read(partition, offset, encoder.encode(made))


def rollups(answers: Sequence[Outgoing]) -> list[Rollup]:
    found = []
    for out in answers:
        if out.topic == ROLLUPS and out.key is not None:
            record = decoder.decode(out.value or b"")
            assert isinstance(record, Rollup)
            assert out.key.decode() == record.track
            found.append(record)
    return found


def test_one_rollup_a_track_and_partition_with_its_offsets() -> None:
    bench = Bench()
    answers = bench.combine([read(0, 5, -3, "games"), read(0, 9, -2), read(1, 2, -1)])
    found = {(r.track, r.partition): r for r in rollups(answers)}
    assert found.keys() == {("all", 0), ("games", 0), ("all", 1)}
    assert (found["all", 0].first, found["all", 0].last) == (5, 9)
    assert sum(cell.posts for cell in found["all", 0].minutes.values()) == 2
    assert sum(cell.posts for cell in found["games", 0].minutes.values()) == 1


def test_nonsense_is_a_dead_letter_and_neither_tombstones_nor_edits_count() -> None:
    bench = Bench()
    batch = [Read(0, 1, b"nonsense"), Read(0, 2, None), read(0, 3, 0, revision=1), read(0, 4, 0)]
    answers = bench.combine(batch)
    assert [out.value for out in answers if out.topic == f"{SENTIMENT}.dlq"] == [b"nonsense"]
    [rollup] = rollups(answers)
    assert (rollup.first, rollup.last) == (1, 4)
    assert sum(cell.posts for cell in rollup.minutes.values()) == 1


def brief(progress: Progress) -> tuple[int, bool]:
    return progress.newest, progress.idle


def test_progress_is_told_when_its_minute_changes_and_as_a_heartbeat() -> None:
    bench = Bench()
    first = bench.progress(bench.combine([read(0, 1, 0)]))
    assert brief(first[0]) == (NOW_MS, False)
    assert brief(first[1]) == (0, False)
    assert bench.progress(bench.combine([read(0, 2, 1)])) == {}
    assert set(bench.progress(bench.combine([read(0, 3, 61)]))) == {0}
    bench.now += 1
    assert bench.combine.pause() == []
    bench.unread = True
    bench.now += HEARTBEAT_SECONDS
    assert set(bench.progress(bench.combine.pause())) == {0, 1}


def test_a_silent_partition_is_idle_unless_posts_are_on_their_way() -> None:
    bench = Bench()
    bench.unread = True
    bench.combine([read(0, 1, 0)])
    bench.now += 20
    told = bench.progress(bench.combine.pause())
    assert not (told[0].idle or told[1].idle)
    assert told[0].sure == 0
    bench.unread = False
    bench.now += 6
    told = bench.progress(bench.combine.pause())
    assert brief(told[0]) == (NOW_MS, True)


def test_a_flood_after_silence_wakes_the_partition_that_has_it() -> None:
    bench = Bench()
    bench.combine.pause()
    bench.now += 10
    assert all(each.idle for each in bench.progress(bench.combine.pause()).values())
    bench.unread = True
    assert not bench.progress(bench.combine([read(0, 1, 0)]))[0].idle


def test_a_partition_that_is_anothers_now_is_spoken_for_no_more() -> None:
    bench = Bench()
    bench.combine([read(0, 1, 0)])
    bench.assigned = {1}
    bench.now += 60
    assert set(bench.progress(bench.combine.pause())) == {1}
    bench.assigned = {0, 1}
    told = bench.progress(bench.combine.pause())
    assert brief(told[0]) == (0, False), "it begins anew"


def test_that_alerts_wait_for_a_stage_is_said() -> None:
    bench = Bench()
    bench.combine.pause()
    bench.unread = True
    for _ in range(60):
        bench.now += HELD_SECONDS / 50
        bench.combine.pause()
    well, why = bench.combine.current()
    assert not well
    assert "infer has not handled" in why
    assert bench.combine.held() > HELD_SECONDS
    bench.unread = False
    bench.now += 2
    bench.combine.pause()
    assert bench.combine.current()[0]
