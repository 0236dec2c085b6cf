"""The fused model over rectangles instead of packed rows: one graph, no loop over items.

The modules and weights are the very ones of `FusedModel`; only the walk through them differs.
"""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

from models.fused import FusedModel, weighed
from models.fusion import Fusion
from models.labels import MODALITIES
from models.release import Calibration, Temperature, subset_key
from models.towers.audio import AudioTower
from models.towers.image import ImageTower
from models.towers.text import TextTower

OUTPUTS = ("emotion_logits", "polarity_logits", "emotions", "polarity")


class Parts(Protocol):
    """A module with the parts of a `FusedModel`."""

    text: TextTower
    image: ImageTower | None
    audio: AudioTower | None
    fusion: Fusion
    divisor: float


class PaddedModel(nn.Module):
    """A `FusedModel` as a graph: the inputs of `models.export.inputs` to the four `OUTPUTS`."""

    def __init__(self, fused: FusedModel, calibration: Calibration) -> None:
        super().__init__()
        self.divisor = calibration.evidence
        self.text, self.image, self.audio = fused.text, fused.image, fused.audio
        self.fusion = fused.fusion
        self._calibration = by_subset(calibration)

    def forward(
        self,
        *,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        evidence: Tensor | None = None,
        pixel_values: Tensor | None = None,
        pixel_mask: Tensor | None = None,
        input_features: Tensor | None = None,
        feature_lengths: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """See `run`."""
        return run(
            self,
            self._calibration,
            input_ids=input_ids,
            attention_mask=attention_mask,
            evidence=evidence,
            pixel_values=pixel_values,
            pixel_mask=pixel_mask,
            input_features=input_features,
            feature_lengths=feature_lengths,
        )


def run(
    parts: Parts,
    calibration: Sequence[Sequence[float]],
    *,
    input_ids: Tensor | None = None,
    attention_mask: Tensor | None = None,
    evidence: Tensor | None = None,
    pixel_values: Tensor | None = None,
    pixel_mask: Tensor | None = None,
    input_features: Tensor | None = None,
    feature_lengths: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Emotion logits `(batch, 7)`, polarity logits `(batch, 3)`, and both as probabilities.

    A modality that is not given, or that the model has no tower for, is masked for all items; a
    mask that is not given says that every item has it. `calibration`: as `by_subset` gives it.
    Raises ValueError where nothing is given at all.
    """
    vectors: dict[str, Tensor] = {}
    there: dict[str, Tensor] = {}
    if input_ids is not None:
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        vectors["text"] = text_vectors(parts.text, input_ids, mask.bool())
        there["text"] = mask.bool().any(dim=1)
    if pixel_values is not None and parts.image is not None:
        vectors["image"] = parts.image.cells(pixel_values).mean(dim=1)
        there["image"] = _all(pixel_values) if pixel_mask is None else pixel_mask.bool()
    if input_features is not None and parts.audio is not None:
        frames = input_features.shape[2]
        full = torch.full_like(input_features[:, 0, 0], frames, dtype=torch.int64)
        lengths = full if feature_lengths is None else feature_lengths
        vectors["audio"] = audio_vectors(parts.audio, input_features, lengths)
        there["audio"] = lengths > 0
    if not there:
        raise ValueError("give at least one of input_ids, pixel_values and input_features")
    some = next(iter(there.values()))
    present = torch.stack([there.get(name, torch.zeros_like(some)) for name in MODALITIES], dim=1)
    batch = some.shape[0]
    for name in (MODALITIES[column] for column in parts.fusion.columns):
        if name not in vectors:
            vectors[name] = parts.fusion.summary.new_zeros(batch, parts.fusion.dims[name])
    emotions, polarity = parts.fusion(
        {name: vector.float() for name, vector in vectors.items()}, present
    )
    if evidence is not None:
        emotions = weighed(emotions, evidence, present, parts.divisor)
    bits = present.long() * torch.tensor([1, 2, 4], device=present.device)
    of_item = torch.tensor(calibration, device=present.device)[bits.sum(dim=1)]  # (batch, 9)
    probable = (emotions / of_item[:, :1] + of_item[:, 2:]).sigmoid()
    return emotions, polarity, probable, (polarity / of_item[:, 1:2]).softmax(dim=1)


def by_subset(calibration: Calibration) -> list[list[float]]:
    """`(8, 9)`: divisors of the emotion and polarity logits, and the bias of each emotion; bit n
    of the row is modality n."""
    rows = []
    for bits in range(1 << len(MODALITIES)):
        names = tuple(name for n, name in enumerate(MODALITIES) if bits >> n & 1)
        found = calibration.temperatures.get(subset_key(names), Temperature())
        rows.append([found.emotions, found.polarity, *found.bias])
    return rows


def text_vectors(tower: TextTower, ids: Tensor, mask: Tensor) -> Tensor:
    """Ids and mask `(batch, time)` to `(batch, dim)`; of an item without a token, anything."""
    positions = torch.arange(ids.shape[1], device=ids.device)
    seen = mask | ((positions == 0) & ~mask.any(dim=1, keepdim=True))  # attention needs something
    states = tower.encoder(ids, positions.expand_as(ids), seen)  # (batch, time, dim)
    return masked_mean(states, seen)


def audio_vectors(tower: AudioTower, mels: Tensor, frames: Tensor) -> Tensor:
    """Spectrograms `(batch, 80, frames)`, of which so many are real, to `(batch, 2 * width)`."""
    dtype = tower.conv1.weight.dtype
    kept = mels[:, :, : 2 * tower.embed_positions.num_embeddings].to(dtype)
    frames = frames.clamp(1, kept.shape[2])
    real = torch.arange(kept.shape[2], device=mels.device) < frames[:, None]
    # Beyond its end a clip is silence to either convolution, as if it stood alone.
    x = gelu(tower.conv1(kept.where(real[:, None], 0.0))).where(real[:, None], 0.0)
    x = gelu(tower.conv2(x)).transpose(1, 2)  # (batch, positions, width)
    x = x + tower.embed_positions.weight[: x.shape[1]]
    mask = torch.arange(x.shape[1], device=mels.device) < ((frames + 1) // 2)[:, None]
    for layer in tower.layers:
        x = layer(x, mask)
    x = tower.norm(x).float()
    mean = masked_mean(x, mask)
    square = masked_mean(x.square(), mask)
    return torch.cat([mean, (square - mean.square()).clamp_min(1e-6).sqrt()], dim=1)


def masked_mean(states: Tensor, mask: Tensor) -> Tensor:
    """Mean of `(batch, time, dim)` where `mask` `(batch, time)` is True."""
    weights = mask[..., None].to(torch.float32)
    return (states.float() * weights).sum(dim=1) / weights.sum(dim=1)


def _all(like: Tensor) -> Tensor:
    return torch.ones(like.shape[0], dtype=torch.bool, device=like.device)
