"""Sequences of a batch side by side, padded with zeros, for layers that want a rectangle."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence


def pad(batch: Sequence[Tensor]) -> tuple[Tensor, Tensor, list[int]]:
    """Tensors `(time, …)` to `(batch, time, …)`, the mask `(batch, time)` of what is real, and
    the lengths."""
    lengths = [len(item) for item in batch]
    padded = pad_sequence(list(batch), batch_first=True)
    return padded, real(lengths, padded.shape[1], padded.device), lengths


def real(lengths: Sequence[int], longest: int, device: torch.device) -> Tensor:
    """True where a padded batch holds data: `(batch, longest)`."""
    return torch.arange(longest, device=device) < torch.tensor(lengths, device=device)[:, None]
