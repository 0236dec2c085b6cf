"""The recurrent audio tower: an LSTM of 128 over MFCC or log-mel frames, averaged over time."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import pad as pad_sides

from models.towers.base import TowerOutput, segment_means
from models.towers.padding import pad

STACK = 4  # frames of 10 ms that make one step


class AudioLstm(nn.Module):
    """Spectrograms or MFCC in, one vector a clip out; a token state covers 40 ms."""

    def __init__(self, bands: int, *, hidden: int = 128) -> None:
        super().__init__()
        # Bands differ in scale by an order of magnitude; over the real steps only.
        self.norm = nn.BatchNorm1d(STACK * bands)
        self.lstm = nn.LSTM(STACK * bands, hidden, batch_first=True)
        self.dropout = nn.Dropout(0.3)
        self.dim = hidden

    def encode(self, batch: Sequence[Tensor]) -> TowerOutput:
        """`batch`: `(bands, frames)` a clip, of any lengths."""
        steps = [_stack(clip.float()) for clip in batch]  # each (steps, 4 * bands)
        lengths = [len(part) for part in steps]
        scaled = self.norm(torch.cat(steps))  # (total, 4 * bands)
        padded, mask, _ = pad(torch.split(scaled, lengths))
        # It reads forwards: padding comes after the last step and changes no state before.
        states = self.lstm(padded)[0][mask]  # (total, hidden)
        return TowerOutput(segment_means(self.dropout(states), lengths), states, lengths)


def _stack(clip: Tensor) -> Tensor:
    """`(bands, frames)` to `(steps, 4 * bands)`; the last step is filled with zeros."""
    whole = pad_sides(clip, (0, -clip.shape[1] % STACK))  # (bands, 3 * steps)
    return whole.T.reshape(-1, STACK * len(clip))
