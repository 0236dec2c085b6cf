"""Three ways to fuse any subset of modalities.

Feature fusion: the vectors of towers that were trained alone, side by side, under a classifier.
Model fusion:   the answers of whole models, one a modality, summed, with equal or learnt weights.
Data fusion:    the same shape as feature fusion, but towers and classifier trained as one.

A modality that a post lacks is masked, and an indicator tells the classifier so: zeros alone
would look like data. The released fusion (attention) is `models/fusion.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import log_softmax, relu, softplus

WIDTH = 128
SOFTPLUS_ONE = 0.5413  # softplus of it is 1
Batch = Mapping[str, Sequence[Tensor | None]]  # by modality, one entry a post


@dataclass(frozen=True, slots=True)
class Parts:
    """What a fusion joins: `values`, `(batch, …)` a modality, and where they are real, `present`
    `(batch, modalities)` in the same order. What is not real is not looked at."""

    values: dict[str, Tensor]
    present: Tensor

    def take(self, rows: Tensor) -> "Parts":
        """These posts, in this order."""
        return Parts({n: value[rows] for n, value in self.values.items()}, self.present[rows])

    def masked(self, kept: Tensor) -> "Parts":
        """The same, and nothing real where `kept`, of the shape of `present`, is False."""
        return Parts(self.values, self.present & kept)


def presence(batch: Batch, names: Sequence[str]) -> Tensor:
    """Which post has which modality: `(batch, modalities)`."""
    return torch.tensor([[item is not None for item in batch[name]] for name in names]).T


class Concatenation(nn.Module):
    """Vectors of any subset of modalities to logits."""

    def __init__(self, dims: Mapping[str, int], classes: int) -> None:
        """`dims`: width of each modality's vector, in the order of the columns of `present`."""
        super().__init__()
        self.names = tuple(dims)
        self.norms = nn.ModuleDict({name: nn.LayerNorm(dim) for name, dim in dims.items()})
        self.dropout = nn.Dropout(0.2)
        self.dense = nn.Linear(sum(dims.values()) + len(dims), WIDTH)
        self.out = nn.Linear(WIDTH, classes)

    def forward(self, vectors: Parts) -> Tensor:
        """Vectors `(batch, dim)` a modality to logits `(batch, classes)`."""
        present = vectors.present
        masked = [
            torch.where(present[:, i, None], self.norms[name](vectors.values[name]), 0.0)
            for i, name in enumerate(self.names)
        ]
        x = torch.cat([*masked, present.float()], dim=1)  # (batch, all dims + modalities)
        logits: Tensor = self.out(self.dropout(relu(self.dense(self.dropout(x)))))
        return logits


class Joint(nn.Module):
    """Towers under one classifier: one tower is a unimodal model, several are a fusion."""

    def __init__(self, towers: Mapping[str, nn.Module], classes: int) -> None:
        super().__init__()
        self.towers = nn.ModuleDict(towers)
        dims = {name: int(getattr(tower, "dim")) for name, tower in towers.items()}  # noqa: B009
        self.head = Concatenation(dims, classes)

    def parts(self, batch: Batch) -> Parts:
        """Each tower's vectors, `(batch, dim)`."""
        vectors: dict[str, Tensor] = {}
        for name, module in self.towers.items():
            tower: Any = module
            items = batch[name]
            rows = [i for i, item in enumerate(items) if item is not None]
            vectors[name] = torch.zeros(len(items), tower.dim)
            if rows:
                pooled = tower.encode([item for item in items if item is not None]).pooled
                vectors[name] = vectors[name].index_copy(0, torch.tensor(rows), pooled.float())
        return Parts(vectors, presence(batch, list(self.towers)))

    def forward(self, batch: Batch) -> Tensor:
        """Logits `(batch, classes)`."""
        logits: Tensor = self.head(self.parts(batch))
        return logits


class WeightedSum(nn.Module):
    """The log-probabilities of one model a modality, summed over those that a post has.

    The weights are positive and learnt, or all one. A post without any gets equal odds.
    """

    def __init__(self, names: Sequence[str], learnt: bool) -> None:
        super().__init__()
        self.names = tuple(names)
        self.raw = nn.Parameter(torch.full((len(names),), SOFTPLUS_ONE), requires_grad=learnt)

    def forward(self, answers: Parts) -> Tensor:
        """Logits `(batch, classes)` a modality to `(batch, classes)`."""
        spoken = [log_softmax(answers.values[name], dim=1) for name in self.names]
        stacked = torch.stack(spoken, dim=1)  # (batch, modalities, classes)
        masked = torch.where(answers.present[..., None], stacked, 0.0)
        return (masked * softplus(self.raw)[:, None]).sum(dim=1)


class Ensemble(nn.Module):
    """Model fusion: whole unimodal models and the weights of their answers."""

    def __init__(self, models: Mapping[str, Joint], learnt: bool) -> None:
        super().__init__()
        self.models = nn.ModuleDict(models)
        self.head = WeightedSum(list(models), learnt)

    def parts(self, batch: Batch) -> Parts:
        """Each model's logits, `(batch, classes)`."""
        logits = {name: model({name: batch[name]}) for name, model in self.models.items()}
        return Parts(logits, presence(batch, list(self.models)))

    def forward(self, batch: Batch) -> Tensor:
        """Logits `(batch, classes)`."""
        logits: Tensor = self.head(self.parts(batch))
        return logits


Model = Joint | Ensemble
