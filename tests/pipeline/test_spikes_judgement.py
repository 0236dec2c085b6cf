"""What is said of counts and shares: seen, expected, an interval, and alerts that are worth it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from pipeline.spikes import Detector, Judgement, Tuning, judge

Floats = npt.NDArray[np.float64]
BUCKET = 300.0
HOUR, DAY = 12, 288


def run(parts: Floats, totals: Floats) -> Judgement:
    """Judge `(ticks, series)`; the answers have that shape, too."""
    detector, ticks = Detector(parts.shape[1], Tuning().per(BUCKET)), len(parts)
    judged = [
        judge(detector, np.full(parts.shape[1], tick // HOUR % 168), *row)
        for tick, row in enumerate(zip(parts, totals, strict=True))
    ]
    names = ("observed", "expected", "low", "high", "deviation", "score", "anomaly")
    return Judgement(*(np.array([getattr(judged[at], n) for at in range(ticks)]) for n in names))


def posts_of(days: int, seed: int = 0) -> tuple[Floats, Floats]:
    """Parts and totals of two series, posts a bucket and the angry tenth of them, day and night."""
    random = np.random.default_rng(seed)
    hour = np.arange(days * DAY) / HOUR % 24
    posts = random.poisson(1.0 + 40.0 * np.exp(-0.5 * ((hour - 15) / 4) ** 2)).astype(np.float64)
    angry = random.binomial(posts.astype(np.int64), 0.1).astype(np.float64)
    return np.stack([posts, angry], 1), np.stack([np.full(len(posts), np.nan), posts], 1)


def test_counts_and_shares_are_expected_on_their_own_scale() -> None:
    parts, totals = posts_of(8)
    judged = run(parts, totals)
    noon = slice(7 * DAY + 15 * HOUR, 7 * DAY + 16 * HOUR)
    assert np.array_equal(judged.observed[:, 0], parts[:, 0])
    assert judged.expected[noon, 0].mean() == pytest.approx(41, rel=0.1)
    assert judged.expected[noon, 1].mean() == pytest.approx(0.1, abs=0.03)
    inside = (judged.low <= judged.observed) & (judged.observed <= judged.high)
    assert 0.9 < inside[7 * DAY :, 0].mean() < 0.99
    assert 0.9 < inside[7 * DAY :, 1][totals[7 * DAY :, 1] > 0].mean() < 0.99
    assert np.abs(judged.deviation[7 * DAY :, 0]).max() < 6


def test_a_spike_is_found_in_counts_and_in_shares_and_once() -> None:
    parts, totals = posts_of(8)
    onset = 7 * DAY + 15 * HOUR
    parts[onset : onset + 6, 0] += 40
    parts[onset : onset + 6, 1] = totals[onset : onset + 6, 1] // 2
    judged = run(parts, totals)
    found = judged.anomaly & (judged.deviation > 0)
    assert found[onset : onset + 6].sum(axis=0).tolist() <= [2, 2]
    assert found[onset : onset + 3].any(axis=0).all()
    assert found[onset + 6 :].sum() == 0
    assert found[3 * DAY : onset].sum() <= 1
    assert (judged.observed > judged.high)[onset : onset + 6].all()


def test_a_level_that_shifts_is_told_and_then_taken_as_it_is() -> None:
    parts, totals = posts_of(11)
    shift = 8 * DAY + 15 * HOUR
    parts[shift:, 0] = parts[shift:, 0] * 3
    parts[shift:, 1] = np.minimum(parts[shift:, 1] * 3, totals[shift:, 1])
    judged = run(parts, totals)
    assert judged.anomaly[shift : shift + HOUR].any(axis=0).all()
    assert judged.anomaly[shift + 2 * DAY :].sum() <= 1
    assert np.abs(judged.deviation[shift + 2 * DAY :]).mean() < 1.5


def test_small_totals_are_no_news() -> None:
    parts, totals = posts_of(8)
    parts[7 * DAY + 3 * HOUR, 1] = totals[7 * DAY + 3 * HOUR, 1] = 3
    parts[7 * DAY + 4 * HOUR, 1] = totals[7 * DAY + 4 * HOUR, 1] = 1
    judged = run(parts, totals)
    night = slice(7 * DAY + 3 * HOUR, 7 * DAY + 5 * HOUR)
    assert judged.observed[7 * DAY + 3 * HOUR, 1] == 1.0
    assert not judged.anomaly[night, 1].any()


def test_a_gap_of_a_day_brings_no_alert_and_no_posts_are_no_share() -> None:
    parts, totals = posts_of(8)
    gap = slice(6 * DAY + 10 * HOUR, 7 * DAY + 10 * HOUR)
    parts[gap] = np.nan
    totals[gap, 1] = 0.0
    judged = run(parts, totals)
    assert not judged.score[gap].any()
    assert not judged.deviation[gap].any()
    assert np.isnan(judged.observed[gap]).all()
    assert np.isfinite(judged.expected[gap, 0]).all()
    assert judged.anomaly[gap.stop :].sum() <= 1


def test_parts_of_nothing_are_no_observation() -> None:
    detector = Detector(2, Tuning().per(BUCKET))
    judged = judge(detector, np.zeros(2, np.int64), np.array([0.0, 3.0]), np.zeros(2))
    assert np.isnan(judged.observed).all()
    assert not judged.anomaly.any()
    assert np.array_equal(judged.deviation, np.zeros(2))


def test_a_sample_says_as_much_as_its_whole_with_more_noise() -> None:
    random, ticks = np.random.default_rng(1), 4 * DAY
    whole = random.poisson(40.0, ticks).astype(np.float64)
    overload = (np.arange(ticks) >= 2 * DAY) & (np.arange(ticks) < 3 * DAY)
    counts = np.where(overload, random.binomial(whole.astype(np.int64), 0.1), whole)
    weights = np.where(overload, 10.0, 1.0)
    detector, count = Detector(1, Tuning().per(BUCKET)), np.full(1, np.nan)
    judged = [
        judge(detector, np.full(1, at // HOUR % 168), counts[at : at + 1], count, weights[at:][:1])
        for at in range(ticks)
    ]
    assert max(each.deviation[0] for each in judged) < 5, "new values, but not far from expected"
    observed = np.array([each.observed[0] for each in judged])
    assert np.array_equal(observed, counts * weights)
    expected = np.array([each.expected[0] for each in judged])[2 * DAY :]
    assert expected.mean() == pytest.approx(40, abs=2)
