"""What the detector finds, what it passes over, and that it looks at the past alone."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.spikes import judge, plant_counts, plant_shares
from pipeline.spikes import Detector, Signals, of_counts, of_shares, to_counts, to_shares

Floats = npt.NDArray[np.float64]
HOUR, DAY = 12, 288


def run(values: Floats, noise: Floats | None = None) -> Floats:
    """The scores of one series of five-minute ticks."""
    detector = Detector(1)
    return np.array(
        [
            detector.step(
                np.array([tick // HOUR % 168]),
                values[[tick]],
                None if noise is None else noise[[tick]],
            ).score[0]
            for tick in range(len(values))
        ]
    )


def days(count: int, seed: int = 0) -> Floats:
    """A measure that is high from nine to six, with noise."""
    hour = np.arange(count * DAY) / HOUR % 24
    noise = np.random.default_rng(seed).uniform(-3, 3, len(hour))
    return np.where((hour >= 9) & (hour < 18), 80.0, 20.0) + noise


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1), st.integers(1, 400))
def test_the_scores_of_a_prefix_are_the_prefix_of_the_scores(seed: int, length: int) -> None:
    values = np.random.default_rng(seed).standard_t(2, 400) * 10
    assert np.array_equal(run(values[:length]), run(values)[:length])


def test_a_series_alone_scores_as_among_others() -> None:
    random = np.random.default_rng(3)
    values = random.poisson(20, (600, 4)).astype(np.float64)
    values[random.random(values.shape) < 0.1] = np.nan
    together = Detector(4)
    rows = [
        together.step(np.full(4, tick // HOUR % 168), row).score for tick, row in enumerate(values)
    ]
    for column in range(4):
        assert np.array_equal(run(values[:, column]), np.array(rows)[:, column])


def test_a_spike_is_an_anomaly_once() -> None:
    values = days(6)
    values[1500:1510] = 200.0
    assert np.flatnonzero(run(values)[3 * DAY :] >= 0.5).tolist() == [1500 - 3 * DAY]


def test_a_shift_of_the_level_is_an_anomaly_once() -> None:
    values = days(14)
    values[7 * DAY :] += 100.0
    alerts = np.flatnonzero(run(values) >= 0.5)
    assert alerts[alerts >= 6 * DAY].tolist()[:1] == [7 * DAY]
    assert len(alerts[alerts >= 7 * DAY]) <= 3
    assert not len(alerts[alerts >= 10 * DAY])


def test_a_day_that_does_not_come_is_an_anomaly_though_its_values_are_known() -> None:
    values = days(12)
    quiet = slice(10 * DAY + 9 * HOUR, 10 * DAY + 18 * HOUR)
    values[quiet] -= 60.0
    alerts = np.flatnonzero(run(values)[8 * DAY :] >= 0.5) + 8 * DAY
    assert alerts.tolist() == [quiet.start]


def test_steady_series_are_quiet() -> None:
    assert not run(np.full(2000, 45.0)).any()
    assert not (run(days(14))[3 * DAY :] >= 0.5).any()


def test_a_share_of_three_posts_is_no_news_and_one_of_three_hundred_is() -> None:
    random = np.random.default_rng(4)
    for posts, news in ((3, False), (300, True)):
        totals = np.full(2000, float(posts))
        parts = random.binomial(posts, 0.1, 2000).astype(np.float64)
        parts[1900] = posts * 2 // 3
        scores = run(*of_shares(parts, totals))
        assert (scores[1890:1910] >= 0.5).any() == news


def test_counts_of_hardly_anything_are_quiet_and_none_is_no_share() -> None:
    counts = np.random.default_rng(5).poisson(0.5, 3000).astype(np.float64)
    assert (run(*of_counts(counts)) >= 0.5).sum() <= 1
    values, _ = of_shares(np.zeros(1), np.zeros(1))
    assert np.isnan(values[0])


def test_values_turn_back_into_counts_and_shares() -> None:
    counts = np.array([0.0, 1.0, 7.0, 1000.0])
    assert to_counts(of_counts(counts)[0]) == pytest.approx(counts)
    shares = to_shares(of_shares(np.array([0.0, 100.0, 999.0]), np.full(3, 1000.0))[0])
    assert shares == pytest.approx([0.0, 0.1, 0.999], abs=1e-3)
    parts, totals = np.array([0.0, 1.0, 2.0, 3.0]), np.array([1.0, 1.0, 3.0, 3.0])
    assert to_shares(of_shares(parts, totals)[0], totals) == pytest.approx(parts / totals)
    assert to_counts(np.array([-1.0]))[0] == to_shares(np.array([-1.0]))[0] == 0.0


@pytest.mark.parametrize("plant", [plant_counts, plant_shares])
def test_planted_spikes_are_found_soon_and_little_else(plant: object) -> None:
    assert callable(plant)
    found = judge(plant(seed=7))
    assert found["found"] >= 0.95 * found["planted"]
    assert found["delay"] <= 2
    assert found["false"] <= 1


@pytest.mark.filterwarnings("error")
def test_any_finite_value_is_judged() -> None:
    random = np.random.default_rng(8)
    wild = random.normal(size=300) * 10.0 ** random.integers(-300, 300, 300)
    ends = [0.0, 1.7e308, -1.7e308, 5e-324, -0.0, np.nan, 1e15, 1e15 + 1]
    scores = run(np.array([*ends, *wild, *ends]))
    assert ((scores >= 0) & (scores <= 1)).all()


def test_memory_does_not_grow() -> None:
    detector = Detector(10)
    before = detector.nbytes
    random = np.random.default_rng(6)
    for tick in range(500):
        signals = detector.step(np.full(10, tick % 168), random.standard_cauchy(10))
    assert isinstance(signals, Signals)
    assert detector.nbytes == before
    assert before / 10 < 2048


def test_wrong_lengths_and_hours_are_refused() -> None:
    with pytest.raises(ValueError, match="expected 2"):
        Detector(2).step(np.zeros(1, dtype=np.int64), np.zeros(1))
    with pytest.raises(ValueError, match="0 to 167"):
        Detector(1).step(np.array([168]), np.zeros(1))
