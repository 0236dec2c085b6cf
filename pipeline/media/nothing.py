"""Media that are whole and show or sound nothing: a model would take them for a mood."""

from __future__ import annotations

from array import array
from typing import cast

from PIL import Image

_LEVELS = 2
_LEVELS_OF_COLOUR = 8
"""Of 255, by which the pixels of one colour may differ once a lossy codec had them: in brightness,
and in a colour, which it rounds more (WebP by up to 6)."""
_QUIET = 33
"""Of 32,768: −60 dBFS."""
_EDGE = 400
"""Samples, 25 ms: a level that begins or ends makes a resampler and a codec swing."""
_STRIDE = 37


def is_blank(picture: Image.Image) -> bool:
    """Whether a small picture has one colour alone."""
    bounds = [(_LEVELS, picture.convert("L"))]
    bounds += [(_LEVELS_OF_COLOUR, channel) for channel in picture.convert("RGB").split()]
    return all(_range(channel) <= levels for levels, channel in bounds)


def _range(channel: Image.Image) -> int:
    low, high = cast(tuple[int, int], channel.getextrema())
    return high - low


def is_silent(pcm: bytes) -> bool:
    """Whether 16-bit samples never swing by −60 dBFS, about whatever level."""
    samples = array("h", pcm)
    # A few of them show that a sound is one; all are looked at where they do not.
    if _swings(samples[_EDGE:-_EDGE:_STRIDE]):
        return False
    return not _swings(samples[_EDGE:-_EDGE] if len(samples) > 4 * _EDGE else samples)


def _swings(samples: array[int]) -> bool:
    return len(samples) > 0 and max(samples) - min(samples) >= 2 * _QUIET
