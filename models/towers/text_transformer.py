"""The text tower of any `transformers` encoder, padded and mean-pooled.

The released tower (`text.py`) is the packed form of one of them; this one takes every
architecture as it comes, and costs its padding.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from models.errors import ModelError
from models.towers.base import TowerOutput
from models.towers.padding import pad


class TextTransformer(nn.Module):
    """Token ids in, one vector a text out."""

    def __init__(self, encoder: nn.Module) -> None:
        """`encoder`: takes `input_ids` and `attention_mask`, gives `last_hidden_state`."""
        super().__init__()
        self.encoder = encoder
        config: Any = encoder.config
        self.dim: int = config.hidden_size

    @classmethod
    def start_from(cls, source: str) -> "TextTransformer":
        """The encoder of a folder or hub name. Raises ModelError where there is none."""
        from transformers import AutoModel

        def load(**without: bool) -> nn.Module:
            model: nn.Module = AutoModel.from_pretrained(source, dtype=torch.float32, **without)
            return model

        try:
            try:
                return cls(load(add_pooling_layer=False))
            except TypeError:  # this architecture has no pooler to leave out
                return cls(load())
        except (OSError, ValueError) as error:
            raise ModelError(f"{source} gives no text encoder: {error}") from error

    def encode(self, batch: Sequence[Tensor]) -> TowerOutput:
        """`batch`: int token ids `(tokens,)` a text, markers included."""
        ids, mask, lengths = pad(batch)  # (batch, n)
        output = self.encoder(input_ids=ids.long(), attention_mask=mask.long())
        states = output.last_hidden_state  # (batch, n, dim)
        sums = (states.float() * mask[..., None]).sum(dim=1)
        return TowerOutput(sums / mask.sum(dim=1, keepdim=True), states[mask], lengths)


def load_tokenizer(source: str, max_tokens: int = 128) -> Tokenizer:
    """The fast tokenizer of a folder or hub name, cutting at `max_tokens`, without padding."""
    file = Path(source) / "tokenizer.json"
    if file.is_file():
        tokenizer = Tokenizer.from_file(str(file))
    else:
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(source, use_fast=True).backend_tokenizer
    tokenizer.enable_truncation(max_tokens)
    tokenizer.no_padding()
    return tokenizer
