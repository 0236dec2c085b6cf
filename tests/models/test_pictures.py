"""Pictures made ahead of their step by other processes."""

import numpy as np
import pytest
import torch

from models.training.loop import Indices
from models.training.pictures import Ahead, Pictures
from tests.models.samples import png

COUNT, BATCH = 6, 2


def batches(epoch: int) -> list[Indices]:
    order = np.random.default_rng(epoch).permutation(COUNT)
    return [order[i : i + BATCH] for i in range(0, COUNT, BATCH)]


@pytest.fixture
def pictures() -> Pictures:
    return Pictures([png(24, n) for n in range(COUNT)], 32, 16, 2, seed=5)


def test_a_picture_ahead_is_that_of_its_step(pictures: Pictures) -> None:
    order = [batch for epoch in range(3) for batch in batches(epoch)]
    ahead = Ahead(pictures, batches)
    for step in (0, 1, 2, 3, 4, 7, 8):  # goes on, over the end of an epoch, and elsewhere
        assert torch.equal(ahead.take(step), pictures[step, order[step]])


def test_the_first_steps_see_small_pictures(pictures: Pictures) -> None:
    first, later = pictures[1, batches(0)[1]], pictures[2, batches(0)[2]]
    assert first.shape == (BATCH, 16, 16, 3)
    assert later.shape == (BATCH, 32, 32, 3)


def test_a_row_without_a_picture_is_told() -> None:
    with pytest.raises(ValueError, match="row 0 has no image"):
        Pictures([None], 32, 16, 0, seed=5)[0, np.array([0])]
