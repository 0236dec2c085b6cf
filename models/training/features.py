"""What the trained towers make of every row, computed once for the fusion."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from models.batching import pack
from models.corpora import Rows
from models.fused import FusedModel, Pooled
from models.labels import MODALITIES, Modality
from models.prepare import Item, Prepared, Preparer

CHUNK = 2048  # rows prepared and sorted by length together
BUDGET = 4096  # tokens a forward pass


@dataclass(frozen=True, slots=True)
class Features:
    """Pooled vectors of rows: `vectors[modality]` `(rows of that modality, dim)` float16 for each
    tower, `place[modality]` `(rows,)` where each row's vector lies, -1 where the row lacks it."""

    vectors: dict[Modality, Tensor]
    place: dict[Modality, npt.NDArray[np.int64]]

    def gather(self, samples: npt.NDArray[np.int64]) -> Pooled:
        """`samples` `(batch, 3)`: for each modality the row to take it from, or -1."""
        present = np.zeros(samples.shape, dtype=np.bool_)
        vectors: dict[str, Tensor] = {}
        for name in self.vectors:
            column = MODALITIES.index(name)
            rows = samples[:, column]
            places = np.where(rows >= 0, self.place[name][rows], -1)
            present[:, column] = places >= 0
            taken = self.vectors[name][torch.from_numpy(np.maximum(places, 0))]
            vectors[name] = taken.float() * torch.from_numpy(present[:, column, None])
        return Pooled(vectors, torch.from_numpy(present))

    def save(self, path: Path) -> None:
        """Write to one safetensors file, whole or not at all."""
        tensors = {f"vectors/{name}": value.contiguous() for name, value in self.vectors.items()}
        tensors |= {f"place/{name}": torch.from_numpy(rows) for name, rows in self.place.items()}
        partial = path.with_suffix(".partial")
        save_file(tensors, partial)
        partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> "Features":
        """Read what `save` wrote."""
        tensors = load_file(path)
        names = [name for name in MODALITIES if f"vectors/{name}" in tensors]
        return cls(
            {name: tensors[f"vectors/{name}"] for name in names},
            {name: tensors[f"place/{name}"].numpy() for name in MODALITIES},
        )


@torch.inference_mode()
def compute_features(rows: Rows, model: FusedModel, preparer: Preparer) -> Iterator[Features | int]:
    """Yield how many rows are done, now and then, and the Features at the end.

    A row that cannot be read has no modality.
    """
    parts: dict[Modality, list[Tensor]] = {name: [] for name in model.towers}
    place: dict[Modality, npt.NDArray[np.int64]] = {
        name: np.full(len(rows), -1, np.int64) for name in MODALITIES
    }
    for start in range(0, len(rows), CHUNK):
        part = range(start, min(start + CHUNK, len(rows)))
        items = [Item(rows.texts[i], rows.images[i], rows.audios[i]) for i in part]
        prepared = [p if isinstance(p, Prepared) else Prepared() for p in preparer.prepare(items)]
        for batch in pack([item.cost for item in prepared], BUDGET):
            pooled = model.pool([prepared[i] for i in batch])
            for name in model.towers:
                found = pooled.present[:, MODALITIES.index(name)].cpu()
                first = sum(len(tensor) for tensor in parts[name])
                indices = np.array(batch)[found.numpy()] + start
                place[name][indices] = first + np.arange(len(indices))
                parts[name].append(pooled.vectors[name][found].half().cpu())
        yield part.stop
    vectors = {name: torch.cat(tensors) for name, tensors in parts.items()}
    for kind, tensor in vectors.items():
        if not len(tensor):  # so that something can be gathered, and masked
            vectors[kind] = torch.zeros(1, tensor.shape[1], dtype=torch.float16)
    yield Features(vectors, place)
