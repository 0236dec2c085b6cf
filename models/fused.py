"""The fused model: a tower a modality and a fusion, over any mixture of items."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.fusion import Fusion
from models.labels import MODALITIES, Modality
from models.prepare import Prepared, evidence_of
from models.release import Config
from models.towers.audio import AudioTower
from models.towers.base import Tower
from models.towers.image import ImageTower
from models.towers.text import TextTower


@dataclass(frozen=True, slots=True)
class Pooled:
    """What the towers make of a batch.

    `vectors`: `(batch, dim)` float32 a tower, by modality, zeros where an item lacks it; `present`
    `(batch, 3)`, in the order of `MODALITIES`, tells where. What has no tower is never present.
    `evidence` `(batch, 7)`: log-odds of the emotions by n-grams, which count where the text does;
    None where nothing has any.
    """

    vectors: dict[str, Tensor]
    present: Tensor
    evidence: Tensor | None = None

    def to(self, device: torch.device) -> "Pooled":
        """The same on another device."""
        vectors = {name: value.to(device) for name, value in self.vectors.items()}
        evidence = None if self.evidence is None else self.evidence.to(device)
        return Pooled(vectors, self.present.to(device), evidence)

    def only(self, modality: int, rows: Tensor) -> "Pooled":
        """These rows with everything masked but one modality."""
        present = torch.zeros_like(self.present[rows])
        present[:, modality] = True
        vectors = {name: value[rows] for name, value in self.vectors.items()}
        evidence = None if self.evidence is None else self.evidence[rows]
        return Pooled(vectors, present, evidence)


class FusedModel(nn.Module):
    """Text, image and audio towers, those that the config has, joined by one fusion."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.text = TextTower(config.text.encoder)
        self.image = ImageTower() if config.image else None
        self.audio = AudioTower(config.audio) if config.audio else None
        dims: dict[str, int] = {name: tower.dim for name, tower in self.towers.items()}
        self.fusion = Fusion(config.fusion, dims)
        self.divisor = config.calibration.evidence

    @property
    def towers(self) -> dict[Modality, Tower]:
        """By modality, in the order of `MODALITIES`."""
        every: dict[Modality, Tower | None] = {
            "text": self.text,
            "image": self.image,
            "audio": self.audio,
        }
        return {name: tower for name, tower in every.items() if tower is not None}

    def place(self, device: torch.device, dtype: torch.dtype) -> "FusedModel":
        """Move to a device, the towers in `dtype`, the small fusion in float32."""
        self.to(device)
        for name in self.towers:
            self.get_submodule(name).to(dtype)
        self.fusion.float()
        return self

    def pool(self, batch: Sequence[Prepared]) -> Pooled:
        """Run each tower once, over the items that have its modality."""
        device = self.fusion.summary.device
        present = torch.zeros(len(batch), len(MODALITIES), dtype=torch.bool)
        vectors: dict[str, Tensor] = {}
        for name, tower in self.towers.items():
            arrays = {
                i: array
                for i, item in enumerate(batch)
                if (array := _array(item, name)) is not None
            }
            vectors[name] = torch.zeros(len(batch), tower.dim, device=device)
            if arrays:
                rows = list(arrays)
                present[rows, MODALITIES.index(name)] = True
                tensors = [torch.tensor(array) for array in arrays.values()]  # the tower moves them
                vectors[name][rows] = tower.encode(tensors).pooled.float()
        said = evidence_of(batch)
        evidence = None if said is None else torch.from_numpy(said)
        return Pooled(vectors, present, evidence).to(device)

    def forward(self, pooled: Pooled) -> tuple[Tensor, Tensor]:
        """Emotion logits `(batch, 7)` and polarity logits `(batch, 3)`."""
        emotions, polarity = self.fusion(pooled.vectors, pooled.present)
        if pooled.evidence is not None:
            emotions = weighed(emotions, pooled.evidence, pooled.present, self.divisor)
        return emotions, polarity


def weighed(emotions: Tensor, evidence: Tensor, present: Tensor, divisor: float) -> Tensor:
    """Emotion logits `(batch, 7)` with evidence `(batch, 7)` where there is a text that has any.

    The sum is divided: what two sources say of the same words is surer than they are right.
    """
    said = evidence * present[:, MODALITIES.index("text"), None]
    spoken = said.any(dim=1, keepdim=True)
    return torch.where(spoken, (emotions + said) / divisor, emotions)


def _array(item: Prepared, modality: str) -> object | None:
    return {"text": item.tokens, "image": item.pixels, "audio": item.mel}[modality]
