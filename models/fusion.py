"""The fusion: cross-modal attention over whichever modalities an item has.

Each modality brings one token; a learned summary token attends to them and carries the heads.
What is missing is masked out of attention, never filled with zeros that look like data
(Ma et al. 2022, "Are Multimodal Transformers Robust to Missing Modality?").
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, scaled_dot_product_attention

from models.labels import EMOTIONS, MODALITIES, POLARITIES
from models.release import FusionConfig


class Fusion(nn.Module):
    """Pooled vectors of one to three towers to emotion and polarity logits."""

    def __init__(self, config: FusionConfig, dims: dict[str, int]) -> None:
        """`dims`: width of each tower's pooled vector, by modality; others are never looked at."""
        super().__init__()
        self.dims = dims
        self.columns = [MODALITIES.index(name) for name in MODALITIES if name in dims]
        self.inputs = nn.ModuleDict(
            {
                name: nn.Sequential(
                    nn.LayerNorm(dims[name]),
                    nn.Dropout(config.dropout),
                    nn.Linear(dims[name], config.width),
                )
                for name in MODALITIES
                if name in dims
            }
        )
        self.summary = nn.Parameter(torch.randn(config.width) * 0.02)
        self.kinds = nn.Parameter(torch.randn(len(MODALITIES), config.width) * 0.02)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)
        self.emotions = nn.Linear(config.width, len(EMOTIONS))
        self.polarity = nn.Linear(config.width, len(POLARITIES))

    def forward(self, pooled: dict[str, Tensor], present: Tensor) -> tuple[Tensor, Tensor]:
        """Emotion logits `(batch, 7)` and polarity logits `(batch, 3)`.

        `pooled`: `(batch, dim)` a modality, in any state where `present` `(batch, 3)`, in the
        order of `MODALITIES`, is False: it is not looked at. A row without any modality gets the
        logits that the summary token alone has learnt, the prior.
        """
        tokens = [self.summary.expand(present.shape[0], -1)]
        tokens += [
            self.inputs[MODALITIES[i]](pooled[MODALITIES[i]]) + self.kinds[i] for i in self.columns
        ]
        x = torch.stack(tokens, dim=1)  # (batch, 1 + towers, width)
        seen = present[:, self.columns]
        visible = torch.cat([torch.ones_like(present[:, :1]), seen], dim=1)  # (batch, 1 + towers)
        for layer in self.layers:
            x = layer(x, visible)
        summary = self.norm(x[:, 0])  # (batch, width)
        return self.emotions(summary), self.polarity(summary)


class Layer(nn.Module):
    """Pre-norm attention and feed-forward (Xiong et al. 2020) over the tokens of an item."""

    def __init__(self, config: FusionConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.dropout = nn.Dropout(config.dropout)
        self.before_attention = nn.LayerNorm(config.width)
        self.qkv = nn.Linear(config.width, 3 * config.width)
        self.out = nn.Linear(config.width, config.width)
        self.before_feed = nn.LayerNorm(config.width)
        self.widen = nn.Linear(config.width, 2 * config.width)
        self.narrow = nn.Linear(2 * config.width, config.width)

    def forward(self, x: Tensor, visible: Tensor) -> Tensor:
        """`x` `(batch, tokens, width)`; `visible` `(batch, tokens)`, False for what is missing."""
        batch, tokens, width = x.shape
        qkv = self.qkv(self.before_attention(x)).view(batch, tokens, 3, self.heads, -1)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)  # each (batch, heads, tokens, head_dim)
        mixed = scaled_dot_product_attention(query, key, value, attn_mask=visible[:, None, None])
        x = x + self.dropout(self.out(mixed.transpose(1, 2).reshape(batch, tokens, width)))
        feed: Tensor = self.dropout(self.narrow(gelu(self.widen(self.before_feed(x)))))
        return x + feed
