"""Stage one: the text tower with a linear probe, on every corpus that has text."""

from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from models.corpora import Rows
from models.preprocess.text import normalise
from models.towers.text import TextTower
from models.training.loop import Indices
from models.training.losses import FineLabels, masked_loss
from models.training.packing import packed_epoch
from models.training.probe import Probe
from models.training.recipe import Fit, TextRecipe
from models.training.teachers import Lessons

FINE = 2.0  # weight of the finer labels' loss, which is small: most of them are absent


class TextTask:
    """Fine-tunes every layer; deeper ones faster (Howard & Ruder 2018)."""

    def __init__(
        self,
        tower: TextTower,
        tokenizer: Tokenizer,
        rows: Rows,
        recipe: TextRecipe,
        *,
        seed: int,
        half: bool,
        lessons: Lessons | None = None,
    ) -> None:
        self.tower = tower
        self.fine = FineLabels(rows, recipe.auxiliary)
        self.device = next(tower.parameters()).device
        self.probe = Probe(tower, tower.dim, len(self.fine)).to(self.device)
        self.module: nn.Module = self.probe
        self.rows = rows
        self.ids = [
            torch.tensor(code.ids, dtype=torch.int32)
            for code in tokenizer.encode_batch([normalise(text or "") for text in rows.texts])
        ]
        self._budget = recipe.tokens_per_batch
        self._exclusive = recipe.exclusive
        self._lessons, self._taught = lessons, recipe.taught
        self._seed = seed
        self._half = half
        mean = sum(len(ids) for ids in self.ids) / len(self.ids)
        self._rows_per_batch = recipe.tokens_per_batch / mean

    def groups(self, fit: Fit) -> list[dict[str, Any]]:
        """Embeddings, each layer and the head with rates that fall towards the input."""
        layers = self.tower.encoder.encoder.layer
        groups: list[dict[str, Any]] = [
            {
                "params": [*self.probe.head.parameters(), *self.probe.fine.parameters()],
                "lr": fit.head_rate,
            }
        ]
        for depth, layer in enumerate(reversed(layers)):
            rate = fit.rate * fit.layer_decay**depth
            groups.append({"params": list(layer.parameters()), "lr": rate})
        rate = fit.rate * fit.layer_decay ** len(layers)
        groups.append({"params": list(self.tower.encoder.embeddings.parameters()), "lr": rate})
        return groups

    def batches(self, epoch: int) -> list[Indices]:
        """Every row once."""
        generator = np.random.default_rng([self._seed, epoch])
        return packed_epoch([len(ids) for ids in self.ids], self._budget, generator)

    def loss(self, batch: Indices, step: int) -> Tensor:
        """Summed over rows and divided by the mean batch, so that each row counts alike."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._half):
            pooled = self.tower.encode([self.ids[i] for i in batch]).pooled
        emotions, polarity = self.probe.logits(pooled)
        rows = self.rows.take(batch)
        loss = masked_loss(emotions, polarity, rows, self._exclusive)
        if self._lessons is not None:
            taught = masked_loss(emotions, polarity, self._lessons.of(rows, batch))
            share = self._taught * torch.from_numpy(self._lessons.known(batch)).to(self.device)
            loss = torch.lerp(loss, taught, share.to(loss.dtype))
        if len(self.fine):
            loss = loss + FINE * self.fine.loss(self.probe.fine(pooled.float()), rows)
        return loss.sum() / self._rows_per_batch
