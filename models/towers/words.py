"""The table of word vectors under the classic text towers."""

import torch
from torch import Tensor, nn

PADDING = 0


def word_table(vocabulary: int, width: int, vectors: Tensor | None) -> nn.Embedding:
    """Trainable vectors, random or started from `vectors` `(vocabulary, width)`; padding is 0."""
    table = nn.Embedding(vocabulary, width if vectors is None else vectors.shape[1], PADDING)
    with torch.no_grad():
        table.weight.copy_(torch.randn_like(table.weight) * 0.3 if vectors is None else vectors)
        table.weight[PADDING] = 0
    return table
