"""The convolutional audio tower: a log-mel spectrogram looked at as a picture.

Hershey et al. 2017, arXiv:1609.09430, in small.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from models.towers.base import TowerOutput, segment_means
from models.towers.padding import pad, real

CHANNELS = (16, 32, 64)


class AudioCnn(nn.Module):
    """Log-mel spectrograms in, one vector a clip out; a token state covers 80 ms."""

    def __init__(self, bands: int = 80) -> None:
        super().__init__()
        inputs = (1, *CHANNELS[:-1])
        self.convolutions = nn.ModuleList(
            nn.Conv2d(before, after, kernel_size=3, stride=2, padding=1)
            for before, after in zip(inputs, CHANNELS, strict=True)
        )
        rows = -(-bands // 2 ** len(CHANNELS))  # of the last map
        self.dropout = nn.Dropout(0.3)
        self.dim = 2 * CHANNELS[-1] * rows

    def encode(self, batch: Sequence[Tensor]) -> TowerOutput:
        """`batch`: `(bands, frames)` a clip, of any lengths."""
        padded, mask, lengths = pad([clip.float().T for clip in batch])
        x = padded.transpose(1, 2)[:, None]  # (batch, 1, bands, frames)
        for convolution in self.convolutions:
            x = relu(convolution(x))  # bands and frames are halved
            lengths = [(length + 1) // 2 for length in lengths]
            mask = real(lengths, x.shape[-1], x.device)
            x = x * mask[:, None, None]  # padding adds nothing to the next filters
        states = x.flatten(1, 2).transpose(1, 2)  # (batch, frames / 8, 64 * bands / 8)
        packed = states[mask]  # (total, 64 * bands / 8)
        highest = (states * mask[..., None]).amax(dim=1)
        pooled = torch.cat([segment_means(packed, lengths), highest], dim=1)  # (batch, dim)
        return TowerOutput(self.dropout(pooled), packed, lengths)
