"""What every tower gives, and the packed attention that the transformer towers share.

Packing: the sequences of a batch are laid end to end in one row `(1, total, dim)` with no
padding; only attention must know where each begins (Krell et al. 2021, arXiv:2107.02027).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final, Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from torch.nn.utils.rnn import pad_sequence
from transformers import AttentionInterface, AttentionMaskInterface

PACKED: Final = "weathervane_packed"


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


def packed_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    lengths: Sequence[int],
    scaling: float | None = None,
    dropout: float = 0.0,
    **unused: Any,
) -> tuple[Tensor, None]:
    """Attention within each segment of a packed row, in the form that `transformers` calls.

    `query`, `key`, `value` are `(1, heads, total, head_dim)`; the result is
    `(1, total, heads, head_dim)`. Neighbours of equal length run as one batch, so a batch sorted
    by length costs as many kernels as it has different lengths.
    """
    heads, total, head_dim = query.shape[1:]
    parts: list[Tensor] = []
    start = 0
    for length, group in groupby(lengths):
        count = sum(1 for _ in group)
        end = start + count * length
        q, k, v = (
            states[0, :, start:end].reshape(heads, count, length, head_dim).transpose(0, 1)
            for states in (query, key, value)
        )  # (count, heads, length, head_dim)
        mixed = scaled_dot_product_attention(q, k, v, dropout_p=dropout, scale=scaling)
        parts.append(mixed.transpose(1, 2).reshape(count * length, heads, head_dim))
        start = end
    if start != total:
        raise ValueError(f"the segments hold {start} positions, the row {total}")
    return torch.cat(parts)[None], None


def register_packed_attention() -> None:
    """Make `attn_implementation=PACKED` known to `transformers`; repeating it is harmless."""
    AttentionInterface.register(PACKED, packed_attention)
    AttentionMaskInterface.register(PACKED, _no_mask)


def _no_mask(*_: Any, **__: Any) -> None:
    """The segments are told by their lengths; no mask is built."""


def segment_means(packed: Tensor, lengths: Sequence[int]) -> Tensor:
    """Mean of each segment of `(total, dim)`: `(batch, dim)`."""
    sizes = torch.tensor(lengths, device=packed.device)
    index = torch.repeat_interleave(torch.arange(len(lengths), device=packed.device), sizes)
    sums = packed.new_zeros(len(lengths), packed.shape[1]).index_add(0, index, packed)
    return sums / sizes[:, None]
