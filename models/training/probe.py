"""The linear layer under which a tower is trained, before there is a fusion."""

from torch import Tensor, nn

from models.labels import EMOTIONS, POLARITIES


class Probe(nn.Module):
    """A tower with one linear layer for emotions and polarity on its pooled vector.

    `fine`: how many finer labels a second layer tells apart, while training alone.
    """

    def __init__(self, tower: nn.Module, dim: int, fine: int = 0) -> None:
        super().__init__()
        self.tower = tower
        self.dropout = nn.Dropout(0.1)
        self.head = nn.Linear(dim, len(EMOTIONS) + len(POLARITIES))
        self.fine = nn.Linear(dim, fine) if fine else nn.Identity()

    def logits(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """Emotion logits `(batch, 7)` and polarity logits `(batch, 3)` of `(batch, dim)`."""
        both: Tensor = self.head(self.dropout(pooled.float()))
        return both[:, : len(EMOTIONS)], both[:, len(EMOTIONS) :]
