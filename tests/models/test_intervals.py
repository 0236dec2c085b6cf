import numpy as np
import pytest

from models.intervals import Estimate, Measure, bootstrap, mcnemar, paired, resample
from models.metrics import Bools


def accuracy(right: Bools) -> Measure:
    return lambda weights: {"accuracy": weights @ right / weights.sum(axis=-1)}


def of(right: Bools, groups: list[str | None] | None = None) -> Estimate:
    return bootstrap(accuracy(right), len(right), groups)["accuracy"]


def test_the_interval_of_a_share_is_the_textbooks() -> None:
    right = np.arange(400) < 300
    found = of(right)
    error = 1.96 * np.sqrt(0.75 * 0.25 / 400)
    assert found.value == 0.75
    assert found.low == pytest.approx(0.75 - error, abs=0.01)
    assert found.high == pytest.approx(0.75 + error, abs=0.01)
    assert of(right) == found


def test_rows_that_go_together_say_less() -> None:
    right = np.repeat(np.arange(40) < 30, 10)
    groups: list[str | None] = [f"speaker {i // 10}" for i in range(400)]
    alone, together = of(right), of(right, groups)
    assert together.high - together.low > 2.5 * (alone.high - alone.low)


def test_groups_are_drawn_whole_and_rows_without_one_alone() -> None:
    groups = ["a", "a", None, "b", None]
    for weights in resample(5, groups, 50, 0):
        assert (weights[:, 0] == weights[:, 1]).all()
        units = weights[:, [0, 2, 3, 4]]
        assert (units.sum(axis=1) == 4).all()
        assert (weights[:, 2] != weights[:, 4]).any()


def test_many_rows_are_drawn_in_parts() -> None:
    drawn = list(resample(30_000, None, 150, 0))
    assert [len(part) for part in drawn] == [133, 17]


def test_paired_sees_what_two_intervals_hide() -> None:
    generator = np.random.default_rng(0)
    first = generator.random(2000) < 0.7
    worse = first & (generator.random(2000) > 0.02)
    one, other = of(first), of(worse)
    assert one.low < other.high
    found = paired(accuracy(first), accuracy(worse), 2000)["accuracy"]
    assert found.value == pytest.approx(first.mean() - worse.mean())
    assert found.low > 0
    assert found.p < 0.01


def test_a_model_differs_from_itself_by_nothing() -> None:
    right = np.arange(50) % 3 > 0
    found = paired(accuracy(right), accuracy(right), 50)["accuracy"]
    assert (found.value, found.low, found.high, found.p) == (0, 0, 0, 1)


@pytest.mark.parametrize(("one", "other", "p"), [(10, 2, 0.03857), (5, 5, 1.0), (0, 0, 1.0)])
def test_mcnemar_is_the_sign_test_of_the_discordant_rows(one: int, other: int, p: float) -> None:
    first = np.array([True] * one + [False] * other + [True] * 30)
    second = np.array([False] * one + [True] * other + [True] * 30)
    found = mcnemar(first, second)
    assert (found.only_first, found.only_second) == (one, other)
    assert found.p == pytest.approx(p, abs=1e-4)


def test_mcnemar_of_thousands_of_rows() -> None:
    first = np.arange(9000) < 5000
    assert mcnemar(first, ~first).p < 1e-20
