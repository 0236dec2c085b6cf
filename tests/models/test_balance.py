"""The losses for classes of unequal size, on numbers that can be checked by hand."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from models.classic.balance import Balance, loss_of
from models.compare.recipe import read_compare_recipe
from models.training.recipe import RecipeError

LABELS = np.array([0] * 8 + [1] * 2)
LOGITS = torch.tensor([[2.0, 0.0, -1.0], [0.5, 0.0, 0.3]])
WANTED = torch.tensor([0, 1])


def loss(balance: Balance, labels: np.ndarray = LABELS) -> float:
    return float(loss_of(balance, labels, 3)(LOGITS, WANTED))


def test_a_rare_class_weighs_the_inverse_of_its_share() -> None:
    each = cross_entropy(LOGITS, WANTED, reduction="none")
    weights = torch.tensor([1 / (0.8 * 2), 1 / (0.2 * 2)])
    assert loss("weights") == pytest.approx(float((each * weights).sum() / weights.sum()))


def test_what_is_learnt_weighs_less() -> None:
    each = cross_entropy(LOGITS, WANTED, reduction="none")
    shares = 1 - torch.softmax(LOGITS, dim=1)[torch.arange(2), WANTED]
    assert loss("focal") == pytest.approx(float((shares.square() * each).mean()), rel=1e-5)


def test_the_shares_of_the_classes_are_added_to_the_logits() -> None:
    shares = torch.tensor([0.8, 0.2, 1e-6])
    assert loss("adjusted") == pytest.approx(float(cross_entropy(LOGITS + shares.log(), WANTED)))
    # A model that knows the shares alone answers as if all were equally frequent.
    prior = loss_of("adjusted", LABELS, 3)(torch.zeros(2, 3), WANTED)
    assert float(prior) == pytest.approx(-0.5 * (np.log(0.8) + np.log(0.2)), rel=1e-4)


@pytest.mark.parametrize("balance", ["weights", "adjusted"])
def test_equal_classes_change_nothing(balance: Balance) -> None:
    assert loss(balance, np.array([0, 1, 2])) == pytest.approx(loss("none"))


def test_another_word_is_refused(tmp_path: Path) -> None:
    recipe = Path("recipes/balance.toml").read_text().replace('"focal"', '"fokal"')
    path = tmp_path / "balance.toml"
    path.write_text(recipe)
    with pytest.raises(RecipeError, match="balance"):
        read_compare_recipe(path)
