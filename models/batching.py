"""Packing of items into batches by cost, not by count.

The packed forward pass has no padding, so a batch costs the sum of its items' tokens.
"""

from collections.abc import Sequence


def pack(costs: Sequence[int], budget: int) -> list[list[int]]:
    """Group the indices of `costs` into batches of at most `budget` tokens.

    Indices are ordered by cost, so that equal lengths lie together (the attention runs one
    kernel for each length in a batch); equal costs keep their order. An item dearer than the
    budget gets a batch of its own. Every index appears exactly once.

    Raises ValueError for a budget below one.
    """
    if budget < 1:
        raise ValueError(f"the token budget must be at least 1, got {budget}")
    batches: list[list[int]] = []
    spent = 0
    for index in sorted(range(len(costs)), key=costs.__getitem__):
        if not batches or spent + costs[index] > budget:
            batches.append([])
            spent = 0
        batches[-1].append(index)
        spent += costs[index]
    return batches
