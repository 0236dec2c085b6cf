"""What every tower gives.

Packing: the sequences of a batch are laid end to end in one row `(1, total, dim)` with no
padding; only attention must know where each begins (Krell et al. 2021, arXiv:2107.02027).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence


@dataclass(frozen=True, slots=True)
class TowerOutput:
    """`pooled` `(batch, dim)`; `packed` `(total, dim)`, the token states laid end to end.

    `lengths` says how many states each item has, in order.
    """

    pooled: Tensor
    packed: Tensor
    lengths: list[int]

    @property
    def tokens(self) -> Tensor:
        """Token states padded with zeros, `(batch, time, dim)`, for cross-attention."""
        return pad_sequence(list(torch.split(self.packed, self.lengths)), batch_first=True)

    @property
    def mask(self) -> Tensor:
        """True where `tokens` holds a state, `(batch, time)`."""
        lengths = torch.tensor(self.lengths, device=self.packed.device)
        return torch.arange(max(self.lengths), device=lengths.device) < lengths[:, None]


class Tower(Protocol):
    """One modality's encoder. `dim` is the width of what it gives."""

    dim: int

    def encode(self, batch: Sequence[Tensor]) -> TowerOutput:
        """Encode one array an item: token ids, pixels or a mel spectrogram. Never empty."""
        ...


def segment_means(packed: Tensor, lengths: Sequence[int]) -> Tensor:
    """Mean of each segment of `(total, dim)`: `(batch, dim)`."""
    sizes = torch.tensor(lengths)
    index = torch.repeat_interleave(torch.arange(len(lengths)), sizes)
    sums = packed.new_zeros(len(lengths), packed.shape[1])
    sums = sums.index_add(0, index.to(packed.device, non_blocking=True), packed)
    return sums / sizes.to(packed.device, non_blocking=True)[:, None]
