"""An epoch of texts in batches of so many tokens."""

from collections.abc import Sequence

import numpy as np

from models.batching import pack
from models.training.loop import Indices

POOL = 24  # batches drawn together and sorted by length


def packed_epoch(
    lengths: Sequence[int], budget: int, generator: np.random.Generator
) -> list[Indices]:
    """Shuffled pools of texts, packed by length within each, batches shuffled again."""
    order = generator.permutation(len(lengths))
    pool = max(1, round(budget * len(lengths) / sum(lengths) * POOL))
    batches: list[Indices] = []
    for start in range(0, len(order), pool):
        chosen = order[start : start + pool]
        packed = pack([lengths[i] for i in chosen], budget)
        batches.extend(chosen[batch] for batch in packed)
    return [batches[i] for i in generator.permutation(len(batches))]
