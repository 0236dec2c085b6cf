"""The text tower: any BERT-shaped `transformers` encoder, run packed, mean-pooled as E5 is.

Multilingual E5: Wang et al. 2024, arXiv:2402.05672. Keeping every second layer of a deep encoder
loses little (Sajjad et al. 2020, arXiv:2004.03844).
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModel, BertConfig, BertModel

from models.towers.base import PACKED, TowerOutput, register_packed_attention, segment_means

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


class TextTower(nn.Module):
    """Token ids in, one vector a text out."""

    def __init__(self, encoder: dict[str, Any]) -> None:
        """`encoder`: the fields of a `BertConfig` (vocab_size, hidden_size, …)."""
        super().__init__()
        register_packed_attention()
        config = BertConfig(**encoder, attn_implementation=PACKED)
        self.encoder = BertModel(config, add_pooling_layer=False)
        self.dim: int = config.hidden_size

    @classmethod
    def start_from(cls, source: str, layers: Sequence[int]) -> "TextTower":
        """A tower from a checkpoint folder or hub name, with these of its layers, in order."""
        trained = AutoModel.from_pretrained(source, add_pooling_layer=False, dtype=torch.float32)
        encoder = {field: getattr(trained.config, field) for field in SHAPE}
        encoder |= {"num_hidden_layers": len(layers), "attention_probs_dropout_prob": 0.0}
        tower = cls(encoder)
        trained.encoder.layer = nn.ModuleList(trained.encoder.layer[index] for index in layers)
        tower.encoder.load_state_dict(trained.state_dict())
        return tower

    @property
    def config(self) -> dict[str, Any]:
        """What `__init__` needs to build the same shape again."""
        config = self.encoder.config
        keep = (*SHAPE, "num_hidden_layers", "hidden_dropout_prob", "attention_probs_dropout_prob")
        return {field: getattr(config, field) for field in keep}

    def encode(self, batch: Sequence[Tensor]) -> TowerOutput:
        """`batch`: int token ids `(tokens,)` an item, markers included."""
        lengths = [len(ids) for ids in batch]
        ids = torch.cat(list(batch)).long()[None]  # (1, total)
        positions = torch.cat([torch.arange(n, device=ids.device) for n in lengths])[None]
        states = self.encoder(
            input_ids=ids, position_ids=positions, lengths=lengths
        ).last_hidden_state[0]  # (total, dim)
        return TowerOutput(segment_means(states.float(), lengths), states, lengths)
