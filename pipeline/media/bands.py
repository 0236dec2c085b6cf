"""Large pictures made small in bands, so that no copy of all their pixels is needed."""

from __future__ import annotations

from collections.abc import Callable

from PIL import Image

MAX_SIDE = 256
"""Pixels of the longer side of what is handed on."""
_BAND_ROWS = 256


def shrunk(size: tuple[int, int], band: Callable[[int, int], Image.Image]) -> Image.Image:
    """RGB over white, both sides divided by a whole number that leaves twice `MAX_SIDE`.

    `band` gives the rows from one to another, as wide as the picture.
    """
    width, height = size
    factor = max(1, max(width, height) // (2 * MAX_SIDE))
    rows = max(factor, _BAND_ROWS // factor * factor)
    small = Image.new("RGB", (-(-width // factor), -(-height // factor)), "white")
    for top in range(0, height, rows):
        part = over_white(band(top, min(top + rows, height)))
        small.paste(part.reduce(factor), (0, top // factor))
    return small


def over_white(picture: Image.Image) -> Image.Image:
    """RGB; what is clear becomes white."""
    if picture.mode.startswith("I"):
        # Sixteen bits a pixel; converting alone would clip instead of scale.
        picture = picture.point(lambda level: level / 257).convert("L")
    if "A" not in picture.mode.upper() and "transparency" not in picture.info:
        return picture.convert("RGB")
    picture = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
