"""The recurrent text tower: two LSTM layers of 128 over word vectors.

Hochreiter & Schmidhuber 1997; stacked as in Graves 2013, arXiv:1303.5778.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.towers.base import TowerOutput
from models.towers.padding import pad
from models.towers.words import word_table


class TextLstm(nn.Module):
    """Word ids in, one vector a text out: the upper layer's state after the last word."""

    def __init__(
        self, vocabulary: int, *, width: int = 100, hidden: int = 128, vectors: Tensor | None = None
    ) -> None:
        """`vectors`: starting word vectors `(vocabulary, width)`, else random ones."""
        super().__init__()
        self.words = word_table(vocabulary, width, vectors)
        self.dropout = nn.Dropout(0.3)
        self.lstm = nn.LSTM(
            self.words.embedding_dim, hidden, num_layers=2, dropout=0.3, batch_first=True
        )
        self.dim = hidden

    def encode(self, batch: Sequence[Tensor]) -> TowerOutput:
        """`batch`: int word ids `(words,)` a text."""
        ids, mask, lengths = pad(batch)  # (batch, n)
        x = self.dropout(self.words(ids.long()))  # (batch, n, width)
        # It reads forwards: padding comes after the last word and changes no state before.
        states = self.lstm(x)[0]  # (batch, n, hidden)
        last = torch.tensor(lengths, device=ids.device) - 1
        pooled = states[torch.arange(len(lengths), device=ids.device), last]  # (batch, hidden)
        return TowerOutput(pooled, states[mask], lengths)
