"""What is shed under overload, what the kept posts stand for, and the exact count of both."""

import math
import random
from collections import Counter, defaultdict
from datetime import timedelta

import msgspec
import pytest

from pipeline.buckets import counts_of, sum_deltas
from pipeline.errors import SettingsError
from pipeline.fold import Folder, Position
from pipeline.keys import member_of
from pipeline.settings import Settings
from pipeline.shed_fold import ShedFolder
from pipeline.shedding import FORGOTTEN_SECONDS, SPARSEST, Behind, Shed, Shedding, keeps
from pipeline.store import Store, connect
from tests.pipeline.events import START, scored
from tests.pipeline.test_records import Consumed

POLICY = Shedding(start=30, full=120)


def shed(number: int, minute: int = 0, tracks: tuple[str, ...] = ("all",)) -> Shed:
    moment = START + timedelta(minutes=minute)
    return Shed(
        id=f"weathervane:shed-{number}",
        platform="weathervane",
        created_at=moment,
        shed_at=moment,
        lang=None,
        tracks=tracks,
        reason="infer was 75 s behind",
        weight=10.0,
    )


def test_the_weight_grows_by_equal_factors_between_the_two_bounds() -> None:
    assert [POLICY.weight(lag) for lag in (0, 29.9, 30)] == [1, 1, 1]
    assert POLICY.weight(75) == 10
    assert [POLICY.weight(lag) for lag in (120, 1e6)] == [SPARSEST, SPARSEST]
    weights = [POLICY.weight(lag) for lag in range(120)]
    assert weights == sorted(weights)


def test_the_policy_is_off_unless_asked_for_and_its_bounds_are_checked() -> None:
    assert Shedding.of(Settings()) is None
    asked = Settings(overload="shed", overload_start_seconds=5, overload_full_seconds=9)
    assert Shedding.of(asked) == Shedding(5, 9)
    with pytest.raises(SettingsError, match="must be more than overload_start_seconds"):
        Shedding.of(asked.model_copy(update={"overload_full_seconds": 5}))


def test_the_partition_that_is_furthest_behind_decides() -> None:
    def read(partition: int, *ages: float, now: float) -> list[Consumed]:
        return [
            Consumed("posts", partition, offset, round(1000 * (now - age)))
            for offset, age in enumerate(ages)
        ]

    behind = Behind()
    assert behind.lag(read(0, 20, 15, now=1000), 1000) == 20
    assert behind.lag(read(1, 90, 80, now=1005) + read(0, 5, now=1005), 1005) == 90
    assert behind.lag(read(0, 2, now=1010), 1010) == 90
    assert behind.lag(read(1, 3, now=1020) + read(0, 2, now=1020), 1020) == 3
    assert behind.lag(read(1, 70, now=1030), 1030) == 70
    assert behind.lag(read(0, 1, now=1030 + FORGOTTEN_SECONDS), 1030 + FORGOTTEN_SECONDS) == 1


def test_a_post_kept_at_a_weight_is_kept_at_every_smaller_one() -> None:
    for number in range(2000):
        fates = [keeps(f"w:{number}", weight) for weight in (1, 1.5, 4, 20, 100)]
        assert fates[0]
        assert fates == sorted(fates, reverse=True)


def test_weighted_shares_are_unbiased_while_the_rate_and_the_posts_change() -> None:
    """Horvitz-Thompson: each kind's estimate is its true number within 4 standard errors."""
    rng = random.Random(7)
    truth = Counter[str]()
    estimate, variance = defaultdict[str, float](float), defaultdict[str, float](float)
    for number in range(60_000):
        # The mood turns while the lag rises and falls: unweighted shares would be wrong.
        lag = 75 + 40 * math.sin(number / 10_000)
        angry = 0.1 if lag < 75 else 0.6
        kind = "anger" if rng.random() < angry else "joy"
        weight = POLICY.weight(lag)
        truth[kind] += 1
        variance[kind] += weight - 1
        estimate[kind] += weight * keeps(f"weathervane:{number}", weight)
    for kind in truth:
        assert abs(estimate[kind] - truth[kind]) < 4 * math.sqrt(variance[kind]), kind


def test_what_is_kept_has_nothing_to_do_with_where_ids_are_remembered() -> None:
    kept = Counter(member_of(f"w:{n}") % 2 for n in range(20_000) if keeps(f"w:{n}", 4.0))
    assert abs(kept[0] - kept[1]) < 4 * math.sqrt(kept.total())


def test_weights_are_counted_beside_the_posts() -> None:
    items = [scored(number, number) for number in range(50)]
    assert counts_of([sum_deltas(items, 0, 0).totals["all"]]).weighted == {}
    heavy = [item._replace(event=msgspec.structs.replace(item.event, weight=3.7)) for item in items]
    counts = counts_of([sum_deltas(items + heavy, 0, 0).totals["all"]])
    assert counts.posts == 100
    assert sum(counts.weighted.values()) == pytest.approx(50 + 50 * 3.7)
    assert counts.weighted.keys() == counts.joint.keys() | {"abstained", "unread"}


@pytest.mark.servers
def test_what_is_shed_is_counted_once_beside_what_is_scored(redis_url: str) -> None:
    client = connect(redis_url.replace("/0", "/6"))
    client.flushdb()
    scores, notes = Folder(client, 3_600_000, 48 * 3_600_000), ShedFolder(client)
    store = Store(client)
    scores.fold(3, scores.position(3), [scored(n, n) for n in range(5)], 5, 0)
    before = store.freshness()

    assert notes.position(3) == Position()
    first = [shed(n, minute=n // 4, tracks=("all", "brand")) for n in range(6)]
    done = notes.fold(3, Position(), first, 9)
    assert (done.applied, done.shed, done.position) == (True, 6, Position(9))
    again = notes.fold(3, Position(), first, 9)
    assert (again.applied, again.position) == (False, Position(9))
    notes.fold(3, Position(9), [shed(8)], 20)

    totals = store.totals()
    assert (totals["all"].posts, totals["all"].shed, totals["brand"].shed) == (5, 7, 6)
    start = int(START.timestamp())
    series = {
        bucket.start: bucket.counts.shed for bucket in store.series("all", start, start + 120, 60)
    }
    assert {at: shed for at, shed in series.items() if shed} == {start: 5, start + 60: 2}
    after = store.freshness()
    assert (after.shed, after.events, after.positions) == (7, before.events, before.positions)
    client.close()


@pytest.mark.parametrize("times", [1.5, 5])
def test_the_lag_settles_where_what_is_kept_can_be_scored(times: float) -> None:
    """A queue that gets `times` what can be scored, handled in batches of 500."""
    capacity, batch = 40.0, 500
    now, handled = 0.0, 0
    lags: list[float] = []
    while now < 900:
        arrived = int(now * capacity * times)
        size = min(batch, arrived - handled)
        lag = now - handled / (capacity * times)
        lags.append(lag)
        kept = sum(keeps(f"q:{n}", POLICY.weight(lag)) for n in range(handled, handled + size))
        handled += size
        # A batch of which nothing is kept costs a moment too.
        now += max(0.2, kept / capacity)
    settled = lags[len(lags) // 2 :]
    expected = POLICY.start + (POLICY.full - POLICY.start) * math.log(times, SPARSEST)
    assert abs(sum(settled) / len(settled) - expected) < 5
    assert max(settled) - min(settled) < 20, "it swings"
