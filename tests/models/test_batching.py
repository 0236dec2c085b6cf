import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.batching import pack


@given(st.lists(st.integers(1, 300), max_size=80), st.integers(1, 500))
def test_every_index_once_and_no_batch_over_budget(costs: list[int], budget: int) -> None:
    batches = pack(costs, budget)
    assert sorted(index for batch in batches for index in batch) == list(range(len(costs)))
    for batch in batches:
        assert batch
        assert len(batch) == 1 or sum(costs[index] for index in batch) <= budget


@given(st.lists(st.integers(1, 300), max_size=80))
def test_equal_costs_lie_together(costs: list[int]) -> None:
    order = [costs[index] for batch in pack(costs, 400) for index in batch]
    assert order == sorted(costs)


def test_a_budget_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        pack([1], 0)
