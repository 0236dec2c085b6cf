"""The transformer layers of the shipped towers, in torch alone, run packed or padded.

Packed is how we run them: `(total, dim)` and the length of each segment. Padded is what exported
graphs need: `(batch, time, dim)` and a mask `(batch, time)`, True where there is a state.

Parameters are named as in `transformers` (BERT, Whisper), so that its checkpoints load as they
are; a test compares the two. Importing `transformers` takes longer than scoring a thousand posts.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, gelu, scaled_dot_product_attention

HALF = (torch.bfloat16, torch.float16)
Extent = Sequence[int] | Tensor  # of a packed row its lengths, of a padded batch its mask


def attention(query: Tensor, key: Tensor, value: Tensor, heads: int, extent: Extent) -> Tensor:
    """Attention within each item, packed or padded; the shape of `query`, and out."""
    if isinstance(extent, Tensor):
        return padded_attention(query, key, value, heads, extent)
    return packed_attention(query, key, value, heads, extent)


def padded_attention(query: Tensor, key: Tensor, value: Tensor, heads: int, mask: Tensor) -> Tensor:
    """Attention over `(batch, time, dim)` each, and out, where `mask` `(batch, time)` is True."""
    batch, time, dim = query.shape
    q, k, v = (
        states.view(batch, time, heads, dim // heads).transpose(1, 2)
        for states in (query, key, value)
    )  # (batch, heads, time, head_dim)
    mixed = scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None, None])
    return mixed.transpose(1, 2).reshape(batch, time, dim)


def packed_attention(
    query: Tensor, key: Tensor, value: Tensor, heads: int, lengths: Sequence[int]
) -> Tensor:
    """Attention within each segment of a packed row: `(total, dim)` each, and out.

    Neighbours of equal length run as one batch, so a batch sorted by length costs as many kernels
    as it has different lengths. Raises ValueError where the lengths do not add up to the row.
    """
    total, dim = query.shape
    if query.is_cuda and query.dtype in HALF and sum(lengths) == total:
        return _flash_attention(query, key, value, heads, lengths)
    parts: list[Tensor] = []
    start = 0
    for length, group in groupby(lengths):
        count = sum(1 for _ in group)
        end = start + count * length
        if end > total:
            break
        q, k, v = (
            states[start:end].view(count, length, heads, dim // heads).transpose(1, 2)
            for states in (query, key, value)
        )  # (count, heads, length, head_dim)
        mixed = scaled_dot_product_attention(q, k, v)
        parts.append(mixed.transpose(1, 2).reshape(count * length, dim))
        start = end
    if start != total or sum(lengths) != total:
        raise ValueError(f"the segments hold {sum(lengths)} positions, the row {total}")
    return torch.cat(parts)


def _flash_attention(
    query: Tensor, key: Tensor, value: Tensor, heads: int, lengths: Sequence[int]
) -> Tensor:
    """Packed attention in one kernel on a GPU (Dao 2023, arXiv:2307.08691)."""
    from torch.nn.attention.varlen import varlen_attn  # which only torch for GPUs can run

    total, dim = query.shape
    ends = torch.tensor([0, *lengths], dtype=torch.int32).cumsum(0, dtype=torch.int32)
    ends = ends.to(query.device, non_blocking=True)
    longest = max(lengths)
    q, k, v = (states.view(total, heads, dim // heads) for states in (query, key, value))
    mixed = varlen_attn(q, k, v, ends, ends, longest, longest)
    return cast(Tensor, mixed).reshape(total, dim)


class BertLayer(nn.Module):
    """Self-attention and feed-forward, normalised after each (Devlin et al. 2019)."""

    def __init__(self, dim: int, heads: int, ffn: int, eps: float, drop: float) -> None:
        super().__init__()
        self.heads, self.drop = heads, drop
        projections = {name: nn.Linear(dim, dim) for name in ("query", "key", "value")}
        self.attention = nn.ModuleDict(
            {"self": nn.ModuleDict(projections), "output": _out(dim, dim, eps)}
        )
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(dim, ffn)})
        self.output = _out(ffn, dim, eps)

    def forward(self, x: Tensor, extent: Extent) -> Tensor:
        """`x` `(total, dim)` packed or `(batch, time, dim)` padded, and out."""
        project: Any = self.attention["self"]
        output: Any = self.attention["output"]
        query, key, value = (project[name](x) for name in ("query", "key", "value"))
        mixed = attention(query, key, value, self.heads, extent)
        x = output["LayerNorm"](x + dropout(output["dense"](mixed), self.drop, self.training))
        wide = gelu(self.intermediate["dense"](x))  # (total, ffn)
        narrow = dropout(self.output["dense"](wide), self.drop, self.training)
        normalised: Tensor = self.output["LayerNorm"](x + narrow)
        return normalised


class WhisperLayer(nn.Module):
    """Self-attention and feed-forward, normalised before each (Radford et al. 2022)."""

    def __init__(self, dim: int, heads: int, ffn: int) -> None:
        super().__init__()
        self.heads = heads
        self.self_attn = nn.ModuleDict(
            {
                "q_proj": nn.Linear(dim, dim),
                "k_proj": nn.Linear(dim, dim, bias=False),
                "v_proj": nn.Linear(dim, dim),
                "out_proj": nn.Linear(dim, dim),
            }
        )
        self.self_attn_layer_norm = nn.LayerNorm(dim)
        self.fc1 = nn.Linear(dim, ffn)
        self.fc2 = nn.Linear(ffn, dim)
        self.final_layer_norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor, extent: Extent) -> Tensor:
        """`x` `(total, dim)` packed or `(batch, time, dim)` padded, and out."""
        normed = self.self_attn_layer_norm(x)
        query, key, value = (
            self.self_attn[name](normed) for name in ("q_proj", "k_proj", "v_proj")
        )
        mixed = attention(query, key, value, self.heads, extent)
        x = x + self.self_attn["out_proj"](mixed)
        wide = gelu(self.fc1(self.final_layer_norm(x)))  # (total, ffn)
        narrow: Tensor = self.fc2(wide)
        return x + narrow


def _out(wide: int, dim: int, eps: float) -> nn.ModuleDict:
    return nn.ModuleDict({"dense": nn.Linear(wide, dim), "LayerNorm": nn.LayerNorm(dim, eps=eps)})
