"""The text tower: a BERT-shaped encoder, run packed, mean-pooled as E5 is.

Multilingual E5: Wang et al. 2024, arXiv:2402.05672. Keeping every second layer of a deep encoder
loses little (Sajjad et al. 2020, arXiv:2004.03844).
"""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout

from models.towers.base import TowerOutput, segment_means
from models.towers.layers import BertLayer
from models.towers.sizes import filler

SHAPE = (
    "vocab_size",
    "hidden_size",
    "num_attention_heads",
    "intermediate_size",
    "max_position_embeddings",
    "layer_norm_eps",
    "type_vocab_size",
    "pad_token_id",
)


class Layers(nn.Module):
    """A stack of layers, named as in `transformers`."""

    def __init__(self, layers: Iterable[BertLayer]) -> None:
        super().__init__()
        self.layer = nn.ModuleList(layers)

    def forward(self, x: Tensor, lengths: Sequence[int]) -> Tensor:
        """`x` `(total, dim)`, and out."""
        for layer in self.layer:
            x = layer(x, lengths)
        return x


class Bert(nn.Module):
    """Embeddings and layers of a BERT encoder, over packed rows."""

    def __init__(self, shape: dict[str, Any]) -> None:
        super().__init__()
        dim, eps = shape["hidden_size"], shape["layer_norm_eps"]
        self.drop = shape.get("hidden_dropout_prob", 0.1)
        self.embeddings = nn.ModuleDict(
            {
                "word_embeddings": nn.Embedding(shape["vocab_size"], dim, shape["pad_token_id"]),
                "position_embeddings": nn.Embedding(shape["max_position_embeddings"], dim),
                "token_type_embeddings": nn.Embedding(shape["type_vocab_size"], dim),
                "LayerNorm": nn.LayerNorm(dim, eps=eps),
            }
        )
        heads, ffn = shape["num_attention_heads"], shape["intermediate_size"]
        depth = range(shape["num_hidden_layers"])
        self.encoder = Layers(BertLayer(dim, heads, ffn, eps, self.drop) for _ in depth)

    def forward(self, ids: Tensor, positions: Tensor, lengths: Sequence[int]) -> Tensor:
        """Token ids and positions `(total,)` to token states `(total, dim)`."""
        parts = self.embeddings
        x = parts["word_embeddings"](ids) + parts["position_embeddings"](positions)
        x = parts["LayerNorm"](x + self.embeddings.get_parameter("token_type_embeddings.weight")[0])
        states: Tensor = self.encoder(dropout(x, self.drop, self.training), lengths)
        return states


class TextTower(nn.Module):
    """Token ids in, one vector a text out."""

    def __init__(self, encoder: dict[str, Any]) -> None:
        """`encoder`: the fields of a `BertConfig` (vocab_size, hidden_size, …)."""
        super().__init__()
        self.config = encoder
        self.encoder = Bert(encoder)
        self.dim: int = encoder["hidden_size"]

    @classmethod
    def start_from(cls, source: str, layers: Sequence[int]) -> "TextTower":
        """A tower from a BERT checkpoint, a folder or hub name, with these of its layers."""
        from transformers import AutoModel

        trained = AutoModel.from_pretrained(source, add_pooling_layer=False, dtype=torch.float32)
        encoder = {field: getattr(trained.config, field) for field in SHAPE}
        encoder |= {"num_hidden_layers": len(layers), "hidden_dropout_prob": 0.1}
        tower = cls(encoder)
        trained.encoder.layer = nn.ModuleList(trained.encoder.layer[index] for index in layers)
        tower.encoder.load_state_dict(trained.state_dict())
        return tower

    def encode(self, batch: Sequence[Tensor]) -> TowerOutput:
        """`batch`: int token ids `(tokens,)` an item, markers included, on any one device."""
        device = self.encoder.embeddings.get_parameter("word_embeddings.weight").device
        lengths = [len(ids) for ids in batch]
        total = sum(lengths)
        more = 0 if self.training else filler(total)  # tokens, a segment each
        ids = torch.cat([*batch, batch[0].new_zeros(more)]).long()  # (total + more,)
        ids = ids.to(device, non_blocking=True)
        places = torch.cat([*map(torch.arange, lengths), torch.zeros(more, dtype=torch.long)])
        positions = places.to(device, non_blocking=True)
        states = self.encoder(ids, positions, lengths + [1] * more)[:total]  # (total, dim)
        return TowerOutput(segment_means(states.float(), lengths), states, lengths)
