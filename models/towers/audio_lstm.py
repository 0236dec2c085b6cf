"""The recurrent audio tower: an LSTM of 128 over MFCC or log-mel frames, averaged over time."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import pad
from torch.nn.utils.rnn import pack_sequence, unpack_sequence

from models.towers.base import TowerOutput, segment_means

STACK = 3  # frames of 10 ms that make one step


class AudioLstm(nn.Module):
    """Spectrograms or MFCC in, one vector a clip out; a token state covers 30 ms."""

    def __init__(self, bands: int, *, hidden: int = 128) -> None:
        super().__init__()
        # Bands differ in scale by an order of magnitude; over the real steps only.
        self.norm = nn.BatchNorm1d(STACK * bands)
        self.lstm = nn.LSTM(STACK * bands, hidden)
        self.dropout = nn.Dropout(0.3)
        self.dim = hidden

    def encode(self, batch: Sequence[Tensor]) -> TowerOutput:
        """`batch`: `(bands, frames)` a clip, of any lengths."""
        steps = [_stack(clip.float()) for clip in batch]  # each (steps, 3 * bands)
        lengths = [len(part) for part in steps]
        x = self.norm(torch.cat(steps))  # (total, 3 * bands)
        sequences = pack_sequence(list(torch.split(x, lengths)), enforce_sorted=False)
        states = torch.cat(unpack_sequence(self.lstm(sequences)[0]))  # (total, hidden)
        return TowerOutput(segment_means(self.dropout(states), lengths), states, lengths)


def _stack(clip: Tensor) -> Tensor:
    """`(bands, frames)` to `(steps, 3 * bands)`; the last step is filled with zeros."""
    whole = pad(clip, (0, -clip.shape[1] % STACK))  # (bands, 3 * steps)
    return whole.T.reshape(-1, STACK * len(clip))
