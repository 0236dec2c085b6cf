"""Character n-grams of Chinese texts: a linear model beside the text tower. Imports no torch.

Wide and deep (Cheng et al. 2016, arXiv:1606.07792). Chinese is written without spaces, and the
tower's pieces cut through words that a linear model over all n-grams simply knows. It gives
evidence, in log-odds, that is added to the emotion logits of whatever has the text.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from models.errors import ReleaseError
from models.labels import EMOTIONS
from models.release import NGRAMS, NgramConfig

CHARACTERS: Final = 512  # of a text that are read
HAN: Final = ((0x3400, 0x4DBF), (0x4E00, 0x9FFF))
# Odd 64-bit constants of SplitMix64 (Steele et al. 2014), whose steps mix the bits of a number.
GOLDEN, MIX = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9)
SHIFT: Final = np.uint64(29)

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


class Ngrams:
    """What each n-gram says of each emotion.

    `weights` `(2**bits, 7)` and `bias` `(7,)` float32, of log-odds.
    """

    def __init__(self, config: NgramConfig, weights: Floats, bias: Floats) -> None:
        self.config = config
        self.weights = weights
        self.bias = bias

    @classmethod
    def load(cls, release: Path, config: NgramConfig) -> "Ngrams":
        """Read `ngrams.safetensors` of a release folder. Raises ReleaseError where it is none or
        not of the shape that the config asks for."""
        path = release / NGRAMS
        try:
            found = load_file(path)
        except (SafetensorError, OSError) as error:
            raise ReleaseError(f"{path} is no safetensors file: {error}") from error
        wanted = {"weights": (1 << config.bits, len(EMOTIONS)), "bias": (len(EMOTIONS),)}
        shapes = {name: value.shape for name, value in found.items()}
        if shapes != wanted:
            raise ReleaseError(
                f"{path} holds {shapes}, config.json asks for {wanted}; fetch the release folder "
                "again"
            )
        return cls(config, *(found[name].astype(np.float32) for name in wanted))

    def save(self, release: Path) -> None:
        """Write `ngrams.safetensors` in half precision."""
        path = release / NGRAMS
        halves = {"weights": self.weights.astype(np.float16), "bias": self.bias.astype(np.float16)}
        save_file(halves, path)
        path.chmod(0o644)

    def evidence(self, texts: Sequence[str]) -> Floats:
        """Log-odds `(texts, 7)` of normalised texts; 0 where there is no Chinese in one.

        A text counts as the mean direction of its distinct n-grams: the sum of their weights over
        the root of their number, however long it is.
        """
        ids, owners = hashed(texts, self.config)
        counts = np.bincount(owners, minlength=len(texts))  # (texts,)
        sums = np.zeros((len(texts), len(EMOTIONS)), np.float32)
        spoken = np.flatnonzero(counts)
        if len(spoken):
            starts = np.concatenate([[0], np.cumsum(counts[spoken])[:-1]])
            roots = np.sqrt(counts[spoken], dtype=np.float32)
            sums[spoken] = np.add.reduceat(self.weights[ids], starts) / roots[:, None] + self.bias
        return sums


def hashed(texts: Sequence[str], config: NgramConfig) -> tuple[Ints, Ints]:
    """The distinct n-grams of each text with Chinese in it, `(total,)`: their hashes, and the text
    that each belongs to, in order."""
    points, owners = _characters(texts)
    state = np.zeros(len(points), np.uint64)
    found: list[npt.NDArray[np.uint64]] = []
    bits = np.uint64(config.bits)
    for length in range(1, config.longest + 1):
        count = max(0, len(points) - length + 1)
        state = state[:count] * GOLDEN + points[length - 1 :] + np.uint64(1)
        state = (state ^ (state >> SHIFT)) * MIX
        whole = owners[:count] == owners[length - 1 :]  # within one text
        found.append(owners[:count][whole] << bits | state[whole] >> np.uint64(64) - bits)
    distinct = np.unique(np.concatenate(found))
    mask = np.uint64((1 << config.bits) - 1)
    return (distinct & mask).astype(np.int64), (distinct >> bits).astype(np.int64)


def _characters(texts: Sequence[str]) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    """Code points of the texts that have Chinese in them, and the number of the text of each."""
    codes = [text[:CHARACTERS].lower().encode("utf-32-le", "surrogatepass") for text in texts]
    points = np.frombuffer(b"".join(codes), "<u4").astype(np.uint64)
    owners = np.repeat(np.arange(len(texts)), [len(code) // 4 for code in codes])
    han = np.zeros(len(points), np.bool_)
    for first, last in HAN:
        han |= (points >= first) & (points <= last)
    chinese = np.bincount(owners[han], minlength=len(texts)).astype(np.bool_)
    kept = chinese[owners]
    return points[kept], owners[kept].astype(np.uint64)
