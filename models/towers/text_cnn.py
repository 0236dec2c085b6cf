"""The convolutional text tower: filters over windows of words, the maximum over time.

Kim 2014, "Convolutional Neural Networks for Sentence Classification", arXiv:1408.5882.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import pad as pad_sides
from torch.nn.functional import relu

from models.towers.base import TowerOutput
from models.towers.padding import pad
from models.towers.words import word_table


class TextCnn(nn.Module):
    """Word ids in, one vector a text out; a token state is what the filters make of a word."""

    def __init__(
        self,
        vocabulary: int,
        *,
        width: int = 100,
        filters: int = 100,
        windows: Sequence[int] = (3, 4, 5),
        vectors: Tensor | None = None,
    ) -> None:
        """`vectors`: starting word vectors `(vocabulary, width)`, else random ones."""
        super().__init__()
        self.words = word_table(vocabulary, width, vectors)
        self.dropout = nn.Dropout(0.3)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(self.words.embedding_dim, filters, window) for window in windows
        )
        self.dim = filters * len(windows)

    def encode(self, batch: Sequence[Tensor]) -> TowerOutput:
        """`batch`: int word ids `(words,)` a text; 0 is padding and stands in none."""
        ids, mask, lengths = pad(batch)  # (batch, n)
        x = self.dropout(self.words(ids.long())).transpose(1, 2)  # (batch, width, n)
        maps = torch.cat([self._map(x, conv) for conv in self.convolutions], dim=1)
        # (batch, dim, n): none is below 0, so padding set to 0 never wins the maximum
        pooled = (maps * mask[:, None]).amax(dim=2)  # (batch, dim)
        return TowerOutput(pooled, maps.transpose(1, 2)[mask], lengths)

    @staticmethod
    def _map(x: Tensor, convolution: nn.Module) -> Tensor:
        """One map, as long as the text: zeros stand before and after it."""
        window = int(convolution.get_parameter("weight").shape[2])
        return relu(convolution(pad_sides(x, ((window - 1) // 2, window // 2))))
