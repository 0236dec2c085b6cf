"""The audio tower: the first layers of Whisper's encoder, over the real frames only.

Radford et al. 2022, arXiv:2212.04356. Whisper itself pads every clip to 30 s; a packed row of the
frames that are there costs a tenth. Mean and deviation over time carry more of an emotion than
the mean alone (statistics pooling, Snyder et al. 2018).
"""

from collections.abc import Sequence

import torch
from safetensors import safe_open
from torch import Tensor, nn
from torch.nn.functional import gelu, pad

from models.release import AudioConfig
from models.towers.base import TowerOutput, segment_means
from models.towers.layers import WhisperLayer
from models.towers.sizes import filler

BANDS = 80


class AudioTower(nn.Module):
    """Log-mel spectrograms in, one vector a clip out; a token state covers 20 ms."""

    def __init__(self, config: AudioConfig) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(BANDS, config.width, kernel_size=3, padding=1)
        self.conv2 = nn.Conv1d(config.width, config.width, kernel_size=3, stride=2, padding=1)
        self.embed_positions = nn.Embedding(config.positions, config.width)
        self.embed_positions.requires_grad_(False)  # sinusoids
        self.layers = nn.ModuleList(
            WhisperLayer(config.width, config.heads, config.ffn) for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(config.width)
        self.dim = 2 * config.width

    def encode(self, batch: Sequence[Tensor]) -> TowerOutput:
        """`batch`: spectrograms `(80, frames)`, of any lengths up to two frames a position, on any
        device."""
        parts = [self._stem(mel) for mel in batch]  # each (positions, width)
        lengths = [len(part) for part in parts]
        total = sum(lengths)
        more = 0 if self.training else filler(total)  # positions, a segment each
        states = torch.cat([*parts, parts[0].new_zeros(more, parts[0].shape[1])])
        for layer in self.layers:
            states = layer(states, lengths + [1] * more)  # (total + more, width)
        states = self.norm(states[:total])
        mean = segment_means(states.float(), lengths)
        square = segment_means(states.float().square(), lengths)
        deviation = (square - mean.square()).clamp_min(1e-6).sqrt()
        pooled = torch.cat([mean, deviation], dim=1).to(states.dtype)
        return TowerOutput(pooled, states, lengths)

    def _stem(self, mel: Tensor) -> Tensor:
        """Two convolutions and the positions: `(80, frames)` to `(positions, width)`."""
        longest = 2 * self.embed_positions.num_embeddings
        x = mel[None, :, :longest].to(self.conv1.weight)
        frames = x.shape[-1]
        more = 0 if self.training else filler(frames)
        x = gelu(self.conv1(pad(x, (0, more))))
        # The second convolution is to find nothing behind the last frame, as without filler.
        x = pad(x[..., :frames], (0, more))
        x = gelu(self.conv2(x))[0, :, : (frames + 1) // 2].T  # (positions, width)
        return x + self.embed_positions.weight[: len(x)]


def start_from(folder: str, config: AudioConfig) -> AudioTower:
    """A tower with the first layers of the Whisper encoder whose safetensors lie in `folder`."""
    tower = AudioTower(config)
    wanted = tower.state_dict()
    with safe_open(f"{folder}/model.safetensors", framework="pt") as file:
        stored = {_rename(key): key for key in file.keys()}  # noqa: SIM118
        for name in wanted.keys() & stored.keys():
            wanted[name] = file.get_tensor(stored[name])[: len(wanted[name])].float()
    tower.load_state_dict(wanted)
    return tower


def _rename(key: str) -> str:
    return key.removeprefix("model.").removeprefix("encoder.")
