"""The three fusions: any subset, nothing missing looked at, and what they learn."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.classic.fitting import hide
from models.classic.fusion import Concatenation, Ensemble, Joint, Parts, WeightedSum
from models.towers.base import TowerOutput


class Plain(nn.Module):
    """A tower that gives a linear map of its item."""

    dim = 4

    def __init__(self) -> None:
        super().__init__()
        self.map = nn.Linear(3, 4)

    def encode(self, batch: list[Tensor]) -> TowerOutput:
        pooled = self.map(torch.stack(batch))
        return TowerOutput(pooled, pooled, [1] * len(batch))


def batch(rows: int = 5) -> dict[str, list[Tensor | None]]:
    torch.manual_seed(3)
    full: dict[str, list[Tensor | None]] = {
        name: [torch.randn(3) for _ in range(rows)] for name in ("text", "audio")
    }
    full["text"][1] = full["audio"][2] = full["text"][3] = full["audio"][3] = None
    return full


@pytest.mark.parametrize("kind", ["joint", "sum"])
@torch.no_grad()
def test_a_post_alone_equals_the_post_in_a_batch_whatever_it_lacks(kind: str) -> None:
    torch.manual_seed(0)
    joint = Joint({"text": Plain(), "audio": Plain()}, 3).eval()
    alone = {name: Joint({name: Plain()}, 3) for name in ("text", "audio")}
    model = (joint if kind == "joint" else Ensemble(alone, learnt=False)).eval()
    posts = batch()
    together = model(posts)
    assert together.shape == (5, 3)
    assert together.isfinite().all()
    for row in range(5):
        single = model({name: [items[row]] for name, items in posts.items()})
        torch.testing.assert_close(single[0], together[row], atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_what_is_missing_is_not_looked_at_and_is_told() -> None:
    torch.manual_seed(0)
    head = Concatenation({"text": 4, "audio": 4}, 3).eval()
    text, present = torch.randn(2, 4), torch.tensor([[True, False], [True, False]])
    wild = torch.tensor([[1e9] * 4, [float("nan")] * 4])
    text[1] = text[0]
    logits = head(Parts({"text": text, "audio": wild}, present))
    torch.testing.assert_close(logits[0], logits[1])
    zeros = Parts({"text": text, "audio": torch.zeros(2, 4)}, torch.ones(2, 2, dtype=torch.bool))
    assert not torch.allclose(head(zeros)[0], logits[0], atol=1e-3)


@torch.no_grad()
def test_a_sum_adds_the_log_probabilities_of_those_present() -> None:
    logits = {"text": torch.tensor([[2.0, 0.0]] * 3), "audio": torch.tensor([[0.0, 3.0]] * 3)}
    present = torch.tensor([[True, True], [True, False], [False, False]])
    found = WeightedSum(["text", "audio"], learnt=False)(Parts(logits, present)).softmax(dim=1)
    expected = torch.tensor([[-1.0, 0.0], [2.0, 0.0], [0.0, 0.0]]).softmax(dim=1)
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-3)


def test_weights_move_to_the_model_that_is_right() -> None:
    torch.manual_seed(0)
    labels = torch.randint(0, 2, (64,))
    right = nn.functional.one_hot(labels, 2).float() * 2
    logits = {"text": right, "audio": torch.randn(64, 2)}
    fusion = WeightedSum(["text", "audio"], learnt=True)
    optimiser = torch.optim.Adam(fusion.parameters(), 0.1)
    parts = Parts(logits, torch.ones(64, 2, dtype=torch.bool))
    for _ in range(60):
        optimiser.zero_grad()
        loss = nn.functional.cross_entropy(fusion(parts), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    assert fusion.raw[0] > fusion.raw[1] + 1
    assert not any(p.requires_grad for p in WeightedSum(["text"], learnt=False).parameters())


def test_data_fusion_reaches_every_tower() -> None:
    model = Joint({"text": Plain(), "audio": Plain()}, 3)
    model(batch()).sum().backward()
    for name, parameter in model.towers.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_hiding_leaves_something_of_every_post() -> None:
    present = np.array([[True, True, True]] * 400 + [[False, True, False]] * 20)
    kept = hide(present, 0.5, np.random.default_rng(0))
    assert kept.any(axis=1).all()
    assert not (kept & ~present).any()
    assert 150 < (kept[:400].sum(axis=1) < 3).sum() < 250
    assert (kept[400:] == present[400:]).all()
