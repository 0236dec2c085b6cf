"""The grid of seen values against a plain search for the nearest one."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.spikes.memory import Memory

ONE = slice(0, 1)


@pytest.mark.parametrize(("scale", "offset"), [(1.0, 5.0), (1e-6, 0.0), (1e6, -3.0), (1.0, 1e6)])
def test_the_gap_is_the_distance_to_the_nearest_value_within_a_cell(
    scale: float, offset: float
) -> None:
    values = (np.random.default_rng(0).standard_t(2, 1500) + offset) * scale
    memory = Memory(1, forget=0.0)
    for at, value in enumerate(values):
        place = memory.step(ONE, np.array([value]))
        if at:
            seen = values[:at]
            span = max(seen.max(), value) - min(seen.min(), value)
            nearest = np.abs(seen - value).min()
            assert place.span[0] == pytest.approx(span)
            assert -1e-6 <= (nearest - place.gap[0]) / span < 1 / 100


def test_the_first_value_and_a_repeated_one_are_not_new() -> None:
    memory = Memory(1, forget=0.0)
    gaps = [memory.step(ONE, np.array([value])).gap[0] for value in (7.0, 7.0, 9.0, 9.0, 7.0)]
    assert gaps[0] == gaps[1] == gaps[3] == gaps[4] == 0.0
    assert gaps[2] == pytest.approx(2.0, rel=0.02)


def test_what_lies_long_ago_is_forgotten() -> None:
    memory = Memory(1, forget=0.01)
    memory.step(ONE, np.array([1000.0]))
    for _ in range(2000):
        memory.step(ONE, np.array([0.0]))
        memory.step(ONE, np.array([1.0]))
    place = memory.step(ONE, np.array([1000.0]))
    assert place.gap[0] > 990
    assert place.span[0] == pytest.approx(1000.0, rel=1e-3)


def test_no_value_changes_nothing() -> None:
    with_gaps, without = Memory(1, 0.001), Memory(1, 0.001)
    for value in np.random.default_rng(1).normal(size=200):
        nothing = with_gaps.step(ONE, np.array([np.nan]))
        assert nothing.gap[0] == nothing.span[0] == 0.0
        ours = with_gaps.step(ONE, np.array([value]))
        assert ours == without.step(ONE, np.array([value]))


def test_series_do_not_touch_each_other() -> None:
    values = np.random.default_rng(2).standard_cauchy((300, 5))
    together = Memory(5, 0.001)
    alone = [Memory(1, 0.001) for _ in range(5)]
    for row in values:
        gaps = together.step(slice(0, 5), row).gap
        each = [memory.step(ONE, row[[at]]).gap[0] for at, memory in enumerate(alone)]
        assert each == list(gaps)
