"""Stage three: the audio tower on speech."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from models.batching import pack
from models.corpora import Rows
from models.preprocess.audio import decode, log_mel, trim_silence
from models.preprocess.augment import mask_spectrogram, vary_sound
from models.towers.audio import AudioTower
from models.training.loop import Indices
from models.training.losses import masked_loss
from models.training.probe import Probe
from models.training.recipe import Fit

EXCLUSIVE = 0.5
FRAME = 160  # samples


class AudioTask:
    """Fine-tunes the transformer layers; the convolutions below keep Whisper's weights."""

    def __init__(
        self, tower: AudioTower, rows: Rows, frames_per_batch: int, seed: int, half: bool
    ) -> None:
        self.tower = tower
        self.device = next(tower.parameters()).device
        self.probe = Probe(tower, tower.dim).to(self.device)
        self.module: nn.Module = self.probe
        self.rows = rows
        self.samples = [_samples(data) for data in rows.audios]
        self._budget = frames_per_batch
        self._seed = seed
        self._half = half
        for frozen in (tower.conv1, tower.conv2):
            frozen.requires_grad_(False)

    def groups(self, fit: Fit) -> list[dict[str, Any]]:
        """Layers at rates that fall towards the input, and the head."""
        groups: list[dict[str, Any]] = [
            {"params": list(self.probe.head.parameters()), "lr": fit.head_rate},
            {"params": list(self.tower.norm.parameters()), "lr": fit.head_rate},
        ]
        for depth, layer in enumerate(reversed(self.tower.layers)):
            rate = fit.rate * fit.layer_decay**depth
            groups.append({"params": list(layer.parameters()), "lr": rate})
        return groups

    def batches(self, epoch: int) -> list[Indices]:
        """Random order, cut where a batch holds enough frames."""
        order = np.random.default_rng([self._seed, epoch]).permutation(len(self.samples))
        pool = 64
        batches: list[Indices] = []
        for start in range(0, len(order), pool):
            chosen = order[start : start + pool]
            costs = [len(self.samples[i]) // FRAME for i in chosen]
            batches.extend(chosen[batch] for batch in pack(costs, self._budget))
        return batches

    def loss(self, batch: Indices, step: int) -> Tensor:
        """Mean over the batch, each clip varied anew."""
        generator = np.random.default_rng([self._seed, 2, step])
        mels = []
        for i in batch:
            varied = vary_sound(self.samples[i], generator)
            mels.append(torch.from_numpy(mask_spectrogram(log_mel(varied), generator)))
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._half):
            pooled = self.tower.encode([mel.float() for mel in mels]).pooled
        emotions, polarity = self.probe.logits(pooled)
        return masked_loss(emotions, polarity, self.rows.take(batch), EXCLUSIVE).mean()


def _samples(data: bytes | None) -> npt.NDArray[np.float32]:
    if data is None:
        raise ValueError("a row of an audio corpus has no sound")
    return trim_silence(decode(data)[0])
