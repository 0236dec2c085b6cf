"""Rollups: sums that do not depend on the batches, and a clock that posts cannot push."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.alerts.track import Counts
from pipeline.rollups import (
    OLDEST_MS,
    SERIES,
    SILENT_SECONDS,
    Arrived,
    Cell,
    Clock,
    Heard,
    Progress,
    Rollup,
    Source,
    decoder,
    roll_up,
    stands_for,
)
from tests.pipeline.planted import event, events

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOW = int(START.timestamp() * 1000)
IDLE = 5.0


def arrived(count: int = 200) -> list[Arrived]:
    found = list(events(START, 30, 10, tracks=("all", "games")))[:count]
    return [Arrived(each, NOW + 3_600_000) for each in found]


def sums(rollups: list[Rollup]) -> dict[tuple[str, int], Cell]:
    total: dict[tuple[str, int], Cell] = {}
    for rollup in rollups:
        for minute, cell in rollup.minutes.items():
            total.setdefault((rollup.track, minute), Cell()).add(cell)
    return total


@settings(deadline=None, max_examples=20)
@given(st.lists(st.integers(1, 60), min_size=1), st.integers(0, 99))
def test_the_sums_do_not_depend_on_batches_and_order(sizes: list[int], seed: int) -> None:
    batch = arrived()
    whole, _ = roll_up(0, 0, len(batch), batch)
    random.Random(seed).shuffle(batch)
    parts: list[Rollup] = []
    at = 0
    while at < len(batch):
        size = sizes[len(parts) % len(sizes)]
        rollups, _ = roll_up(0, at, at + size - 1, batch[at : at + size])
        parts += rollups
        at += size
    assert sums(parts) == sums(whole)


def test_a_cell_counts_every_post_once_in_each_kind_of_series() -> None:
    for cell in sums(roll_up(0, 0, 9, arrived())[0]).values():
        parts = dict(zip(SERIES, cell.parts, strict=True))
        for kind in ("emotion", "polarity"):
            assert sum(n for name, n in parts.items() if name.startswith(kind)) == cell.posts
        assert sum(cell.languages.values()) == sum(cell.platforms.values()) == cell.posts


def test_a_cell_knows_what_its_posts_stand_for_and_counts_them_as_they_are() -> None:
    cell, other = Cell(), Cell()
    cell.count(event("a:1", START, "joy"))
    assert cell.beside == [], "nothing was shed"
    for weight in (3.01, 100.0):
        other.count(msgspec.structs.replace(event("a:2", START, "joy"), weight=weight))
    cell.add(other)
    assert cell.posts == 3
    stands = dict(zip(SERIES, stands_for(cell.parts, cell.beside), strict=True))
    assert stands["volume"] == stands["emotion:joy"] == stands["polarity:positive"] == 104.01
    assert sum(stands.values()) == pytest.approx(3 * 104.01)
    assert msgspec.json.decode(msgspec.json.encode(cell), type=Cell) == cell


def test_records_come_back_as_they_were_written() -> None:
    [rollup, _] = roll_up(3, 7, 9, arrived(5))[0]
    for record in (rollup, Progress(partition=1, newest=5, idle=True)):
        assert decoder.decode(msgspec.json.encode(record)) == record


def test_posts_of_the_future_and_of_long_ago_are_in_no_minute_and_move_nothing() -> None:
    future = event("a:1", START + timedelta(hours=3), "joy")
    old = event("a:2", START - timedelta(milliseconds=OLDEST_MS + 1), "joy")
    rollups, newest = roll_up(0, 0, 1, [Arrived(future, NOW), Arrived(old, NOW)])
    assert newest == 0
    assert [(r.minutes, r.outside) for r in rollups] == [({}, 2)]
    ahead = event("a:3", START + timedelta(minutes=4), "joy")
    assert roll_up(0, 0, 0, [Arrived(ahead, NOW)])[1] == NOW, "a little ahead: as of its arrival"


def test_posts_without_an_emotion_are_in_no_series_and_move_the_clock() -> None:
    sure = event("a:1", START, "joy")
    unsure = msgspec.structs.replace(event("a:2", START, "fear"), abstained=True)
    later = START + timedelta(seconds=90)
    unread = msgspec.structs.replace(
        event("a:3", later, "joy"), modalities=(), dominant=None, abstained=True
    )
    batch = [Arrived(each, NOW) for each in (sure, unsure, unread)]
    [rollup], newest = roll_up(0, 0, 2, batch)
    assert newest == min(NOW, int(later.timestamp() * 1000))
    assert (rollup.silent, rollup.outside) == (2, 0)
    [(minute, cell)] = rollup.minutes.items()
    assert minute == int(START.timestamp()) // 60 * 60
    assert {name for name, n in zip(SERIES, cell.parts, strict=True) if n} == {
        "volume",
        "emotion:joy",
        "polarity:positive",
    }
    assert cell.posts == sum(cell.languages.values()) == sum(cell.platforms.values()) == 1
    [silent], _ = roll_up(0, 3, 4, batch[1:])
    assert (silent.minutes, silent.silent, silent.last) == ({}, 2, 4)
    counts = Counts()
    assert counts.add(rollup)
    assert counts.add(silent)
    assert not counts.add(silent)
    assert counts.posts == 5


def test_rollups_of_the_version_before_are_read() -> None:
    [rollup, *_], _ = roll_up(3, 7, 9, arrived(5)[:1])
    old = msgspec.json.decode(msgspec.json.encode(rollup))
    del old["silent"]
    assert decoder.decode(msgspec.json.encode(old)) == rollup


def test_cells_stay_small_whatever_names_come() -> None:
    cell = Cell()
    for number in range(500):
        cell.count(msgspec.structs.replace(event("a:1", START, "joy"), platform=f"p{number}"))
    assert len(cell.platforms) <= 33
    assert sum(cell.platforms.values()) == 500


def test_a_source_is_idle_once_silent_unless_posts_are_on_their_way() -> None:
    source = Source(0, IDLE, now=0.0)
    assert source.progress(1.0, False) == Progress(partition=0, newest=0, idle=False)
    source.saw(NOW, 2.0)
    source.saw(NOW - 60_000, 3.0)
    assert source.progress(4.0, False) == Progress(partition=0, newest=NOW, idle=False)
    assert not source.progress(8.5, True).idle, "posts are on their way"
    assert source.progress(8.5, False).idle
    assert source.progress(8.5, True).sure == 0, "and nothing is sure"
    assert source.progress(8.5, True, NOW - 9).sure == NOW - 9, "but what is known to be"
    source.saw(NOW + 1000, 900.0)
    assert not source.progress(900.0, False).idle


def heard(clock: Clock, partition: int, newest: int, idle: bool = False) -> int:
    return clock.hear(Progress(partition=partition, newest=newest, idle=idle))


def test_nothing_is_complete_before_every_partition_was_heard() -> None:
    clock = Clock(3, 100)
    assert heard(clock, 0, 500) == heard(clock, 1, 400) == 0
    assert heard(clock, 2, 300) == 200


def test_the_slowest_busy_partition_decides_and_an_idle_one_holds_nobody() -> None:
    clock = Clock(3, 100)
    heard(clock, 0, 600)
    heard(clock, 1, 500)
    assert heard(clock, 2, 0, idle=True) == 400
    assert heard(clock, 1, 100) == 400, "it never goes back"
    assert heard(clock, 1, 550) == 450
    heard(clock, 0, 600, idle=True)
    assert heard(clock, 1, 0, idle=True) == 600, "all idle: what is known is all there is"
    assert heard(clock, 2, 10) == 600, "one that wakes up late closes nothing and opens nothing"


def test_what_was_told_since_a_partition_was_idle_waits_until_it_says_so_again() -> None:
    clock = Clock(2, 100)
    heard(clock, 0, 600, idle=True)
    assert heard(clock, 1, 500, idle=True) == 600
    assert heard(clock, 0, 2000) == 600, "the reader of the other may have died with posts unread"
    assert heard(clock, 1, 1500) == 1400, "which is told by the next one"
    heard(clock, 1, 1500, idle=True)
    assert heard(clock, 0, 2200) == 2000
    assert heard(clock, 1, 1500, idle=True) == 2100


def told(clock: Clock, partition: int, newest: int, at: int, *, idle: bool, sure: int = 0) -> int:
    return clock.hear(Progress(partition=partition, newest=newest, idle=idle, sure=sure, at=at))


def test_what_is_sure_decides_and_not_the_newest() -> None:
    clock = Clock(2, 100)
    told(clock, 0, 9000, 1, idle=False, sure=300)
    assert told(clock, 1, 500, 1, idle=False, sure=400) == 300
    assert told(clock, 0, 9000, 2, idle=False, sure=0) == 300, "it never goes back"


def test_a_silent_partition_goes_on_as_the_clock_does_and_no_faster() -> None:
    lateness, hour = 120_000, 3_600_000
    for silence, complete in ((20_000, 0), (200_000, 90_000), (SILENT_SECONDS * 1000, hour * 6)):
        clock = Clock(2, lateness)
        told(clock, 1, hour, hour, idle=False)
        told(clock, 1, hour, hour + int(silence), idle=True)
        told(clock, 0, 7 * hour, hour, idle=False, sure=7 * hour)
        found = told(clock, 1, hour, hour + int(silence), idle=True)
        assert found == hour + complete, "six hours behind, in so many seconds"


def test_where_all_are_silent_what_is_near_is_waived() -> None:
    hour = 3_600_000
    for behind, complete in ((hour // 2, hour), (2 * hour, 0)):
        clock = Clock(2, 120_000)
        told(clock, 1, 10 * hour, 5, idle=False)
        told(clock, 0, 10 * hour + behind, 5, idle=True)
        assert told(clock, 1, 10 * hour, 5000, idle=True) == 10 * hour + (behind if complete else 0)


def test_a_partition_that_never_had_a_post_holds_a_new_system_for_ten_minutes() -> None:
    clock = Clock(2, 120_000)
    told(clock, 1, 0, NOW, idle=True)
    told(clock, 0, NOW, NOW, idle=False, sure=NOW - 120_000)
    assert told(clock, 1, 0, NOW + 60_000, idle=True) == 0
    assert told(clock, 1, 0, NOW + int(SILENT_SECONDS * 1000), idle=True) == NOW - 120_000


def test_a_progress_of_the_version_before_is_understood() -> None:
    said = decoder.decode(b'{"type":"progress","partition":0,"newest":600,"idle":false}')
    assert isinstance(said, Progress)
    assert Clock(1, 100).hear(said) == 500
    kept = msgspec.msgpack.encode({0: {"newest": 5, "watermark": 3, "idle": True, "told": 4}})
    assert msgspec.msgpack.decode(kept, type=dict[int, Heard])[0].busy_at == 0


def test_a_restored_clock_waits_to_hear_who_is_idle() -> None:
    clock = Clock(2, 100)
    heard(clock, 0, 900)
    heard(clock, 1, 500, idle=True)
    kept = msgspec.msgpack.decode(msgspec.msgpack.encode(clock.heard), type=dict[int, Heard])
    again = Clock(2, 100, kept)
    assert heard(again, 0, 0) == 500, "the other may have woken meanwhile"
    assert heard(again, 1, 0, idle=True) == 800
    assert heard(again, 0, 0, idle=True) == 900, "the newest is remembered"
