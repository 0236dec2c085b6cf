"""The parts of a picture and of a sound that are covered one by one."""

import dataclasses
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from models.prepare import Prepared
from models.preprocess import audio

GRID = 7  # patches a side
FRAMES = 20  # in a moment: 200 ms
MOST, FEWEST = 24, 4  # moments of a sound

Patch = tuple[slice, slice]  # rows, columns
Span = tuple[int, int]  # first frame, and the one after the last


def patches(pixels: npt.NDArray[np.uint8]) -> list[Patch]:
    """A grid of 7 × 7 over the picture, row by row."""
    down, across = (np.linspace(0, side, GRID + 1).astype(int) for side in pixels.shape[:2])
    return [
        (slice(top, bottom), slice(left, right))
        for top, bottom in pairwise(down)
        for left, right in pairwise(across)
    ]


def cover_patches(whole: Prepared, covered: Sequence[Patch]) -> Prepared:
    """The item with these patches in the picture's mean colour."""
    assert whole.pixels is not None  # noqa: S101  (only called with a picture)
    pixels = whole.pixels.copy()
    mean = whole.pixels.mean(axis=(0, 1))
    for patch in covered:
        pixels[patch] = mean.astype(np.uint8)
    return dataclasses.replace(whole, pixels=pixels)


def moments(mel: npt.NDArray[np.float16]) -> list[Span]:
    """Spans of about 200 ms, longer ones in a long sound."""
    frames = mel.shape[1]
    count = min(frames, max(FEWEST, min(MOST, round(frames / FRAMES))))
    edges = np.linspace(0, frames, count + 1).astype(int).tolist()
    return list(pairwise(edges))


def mute(whole: Prepared, muted: Sequence[Span]) -> Prepared:
    """The item with these spans as silent as its most silent spot."""
    assert whole.mel is not None  # noqa: S101  (only called with a sound)
    mel = whole.mel.copy()
    for start, end in muted:
        mel[:, start:end] = whole.mel.min()
    return dataclasses.replace(whole, mel=mel)


def sound_start(data: bytes) -> float:
    """Where in the sound its spectrogram begins, in seconds: leading silence is cut off."""
    samples, _ = audio.decode(data)
    return audio.loud_span(samples)[0] / audio.RATE
