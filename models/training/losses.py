"""The masked multi-task loss of emotions and polarity."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, log_softmax

from models.corpora import Rows

LABELS = 5.0  # emotions that a corpus annotates on average: the scale of their sum
POLARITY = 0.5  # weight of polarity beside the emotions


def masked_loss(emotions: Tensor, polarity: Tensor, rows: Rows, exclusive: float = 0.0) -> Tensor:
    """One loss a row, `(batch,)`, from emotion `(batch, 7)` and polarity `(batch, 3)` logits.

    Binary cross-entropy summed over the emotions that the row's corpus annotates, plus
    cross-entropy of the polarity where there is one. What is not annotated adds nothing.
    `exclusive` weighs a cross-entropy over the annotated emotions of rows whose labels sum to
    one (a single label, or shares of raters), which sharpens the order of the logits.
    """
    device = emotions.device
    wanted = torch.from_numpy(rows.emotions).to(device)
    known = ~wanted.isnan()
    each = binary_cross_entropy_with_logits(emotions.float(), wanted.nan_to_num(), reduction="none")
    loss = (each * known).sum(dim=1) / LABELS
    if exclusive:
        shares = wanted.nan_to_num()
        single = (shares.sum(dim=1) - 1).abs() < 1e-3
        order = log_softmax(emotions.float().masked_fill(~known, -1e4), dim=1)
        loss = loss - exclusive * single * (shares * order).sum(dim=1)
    target = torch.from_numpy(rows.polarity).to(device)
    cross = -(target.nan_to_num() * log_softmax(polarity.float(), dim=1)).sum(dim=1)
    loss = loss + cross * torch.from_numpy(rows.polarity_weight).to(device) * POLARITY
    return loss * torch.from_numpy(rows.weight).to(device)


def divergence(emotions: Tensor, polarity: Tensor, wanted: tuple[Tensor, Tensor]) -> Tensor:
    """How far logits are from `wanted` ones, emotions `(batch, 7)` and polarity `(batch, 3)`.

    The Kullback-Leibler divergence of the latter from the former, `(batch,)`, on the scale of
    `masked_loss`: 0 where they agree.
    """
    p, shares = wanted[0].sigmoid(), wanted[1].softmax(dim=1)
    cross = binary_cross_entropy_with_logits(emotions, p, reduction="none")
    least = binary_cross_entropy_with_logits(wanted[0], p, reduction="none")
    gap = (shares * (log_softmax(wanted[1], dim=1) - log_softmax(polarity, dim=1))).sum(dim=1)
    return (cross - least).sum(dim=1) / LABELS + POLARITY * gap


class FineLabels:
    """The finer labels of some corpora as one vocabulary, each corpus judged by its own alone.

    A label of a corpus that does not use it is unknown, never absent.
    """

    def __init__(self, rows: Rows, corpora: Sequence[str]) -> None:
        used = {
            (str(corpus), label)
            for corpus, labels in zip(rows.corpus, rows.labels, strict=True)
            if corpus in corpora
            for label in labels
        }
        self._place = {pair: index for index, pair in enumerate(sorted(used))}
        self._of_corpus = {
            name: torch.tensor([pair[0] == name for pair in self._place]) for name in corpora
        }

    def __len__(self) -> int:
        return len(self._place)

    def loss(self, logits: Tensor, rows: Rows) -> Tensor:
        """Binary cross-entropy averaged over each row's labels, `(batch,)`, of `(batch, fine)`."""
        wanted, known = torch.zeros(logits.shape), torch.zeros(logits.shape, dtype=torch.bool)
        for index, name in enumerate(map(str, rows.corpus)):
            if name in self._of_corpus:
                known[index] = self._of_corpus[name]
                places = [self._place[name, label] for label in rows.labels[index]]
                wanted[index, places] = 1.0
        shares = known / known.sum(dim=1, keepdim=True).clamp(min=1)
        shares = shares * torch.from_numpy(rows.weight)[:, None]
        wanted, shares = wanted.to(logits.device), shares.to(logits.device)
        each = binary_cross_entropy_with_logits(logits.float(), wanted, reduction="none")
        return (each * shares).sum(dim=1)
