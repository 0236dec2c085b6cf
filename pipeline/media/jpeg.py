"""What a JPEG's markers say (ITU-T T.81, annex B), and JPEG without its end."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image, ImageChops

from pipeline.media.unusable import Unusable

_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_SEQUENTIAL = {0xC0, 0xC1}
_END = b"\xff\xd9"
_MAY_MISS = 1 / 32
"""The part of the rows that may be missing at the bottom, for the picture to count as whole."""


@dataclass(frozen=True, slots=True)
class Frame:
    """How a JPEG is coded."""

    in_several_passes: bool
    """Progressive, or with a scan for each colour."""
    coefficient_bytes: int
    """What a decoder holds of one that comes in several passes: two bytes for each coefficient."""


def frame_of(data: bytes) -> Frame:
    """Read the frame header, and the first scan's."""
    position, components, held, progressive = 2, 0, 0, False
    while position + 10 <= len(data):
        marker = data[position + 1]
        if data[position] != 0xFF or marker == 0xFF:
            position += 1
        elif marker == 0xDA:
            return Frame(progressive or data[position + 4] < components, held)
        elif marker == 0x01 or 0xD0 <= marker <= 0xD7:
            position += 2
        else:
            if marker in _FRAMES:
                progressive = marker not in _SEQUENTIAL
                components = data[position + 9]
                held = _coefficient_bytes(data[position + 5 : position + 10 + 3 * components])
            position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return Frame(progressive, held)


def _coefficient_bytes(header: bytes) -> int:
    """From the height on: each colour has a share of the pixels by its sampling factors."""
    height, width = int.from_bytes(header[0:2], "big"), int.from_bytes(header[2:4], "big")
    factors = [(h >> 4, h & 15) for h in header[6::3]]
    largest = max((h for h, _ in factors), default=0) * max((v for _, v in factors), default=0)
    if not largest:
        return 6 * width * height
    return 2 * width * height * sum(h * v for h, v in factors) // largest


def read_without_end(
    data: bytes, read: Callable[[bytes], Image.Image], cut: Unusable
) -> Image.Image:
    """Read a JPEG whose end marker is missing.

    A decoder that is given one fills what is missing. So it is read twice, with something else
    behind the last byte: the rows that differ are those that are not there.

    Raises:
        Unusable: `cut`, where more than the last rows is missing.
    """
    tail = random.Random(0).randbytes(4096).replace(b"\xff", b"\xfe")
    body = data.rstrip(b"\0").removesuffix(b"\xff")
    try:
        first, second = read(body + _END), read(body + tail + _END)
    except Unusable as error:
        raise cut from error  # what it says of the length is of the mended bytes
    differing = ImageChops.difference(first, second).getbbox()
    if differing and differing[1] < first.height * (1 - _MAY_MISS):
        raise cut
    return first.crop((0, 0, first.width, max(1, differing[1]))) if differing else first
