"""Pictures: JPEG, PNG and WebP in, a small JPEG without metadata out."""

from __future__ import annotations

import io

from PIL import (
    ExifTags,
    Image,
    ImageOps,
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from pipeline.media.unusable import Unusable

# Pillow loads plug-ins on demand, and the confined child can open no file.
PLUGINS = (JpegImagePlugin, MpoImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin)

MAX_SIDE = 256
JPEG_QUALITY = 85
MAX_MEGAPIXELS = {"JPEG": 40.0, "progressive JPEG": 12.0, "PNG": 16.0, "WebP": 5.0}
"""By what a decoder holds: a plain JPEG is scaled while it is read, a progressive one keeps the
coefficients of all of it (6 bytes a pixel), PNG the pixels (4), WebP four copies of them (16)."""
_FORMATS = {"JPEG": "JPEG", "progressive JPEG": "JPEG", "PNG": "PNG", "WebP": "WEBP"}
_JPEG_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_JPEG_SEQUENTIAL = {0xC0, 0xC1}
_BAND_ROWS = 256
_ORIENTATIONS = range(2, 9)


def clean_image(data: bytes) -> bytes:
    """A JPEG of at most 256 pixels a side: upright, over white, RGB, without metadata.

    Raises:
        Unusable: another format, too many pixels, cut off or broken.
        MemoryError: the decoder asked for more than the process may have.
    """
    name = _sniff(data)
    if name == "JPEG" and _in_several_passes(data):
        name = "progressive JPEG"
    if name == "WebP":
        # Pillow's decoder takes the memory for the whole canvas as it opens the file.
        _check_size(name, _webp_size(data))
    try:
        with Image.open(io.BytesIO(data), formats=[_FORMATS[name]]) as picture:
            _check_size(name, picture.size)
            picture.draft("RGB", (2 * MAX_SIDE, 2 * MAX_SIDE))
            picture.load()
            small = _shrunk(picture)
            small = _upright(small, picture)
    except UnidentifiedImageError as error:
        raise Unusable(f"the {name} has no readable header") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise Unusable(_reason(name, data, error)) from error
    small.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    small.save(out, "JPEG", quality=JPEG_QUALITY)
    return out.getvalue()


def _sniff(data: bytes) -> str:
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WebP"
    raise Unusable("the picture is neither JPEG, PNG nor WebP, whatever its name says")


def _in_several_passes(data: bytes) -> bool:
    """Whether a JPEG is progressive, or has a scan for each colour (ITU-T T.81, annex B)."""
    position, components = 2, 0
    while position + 10 <= len(data):
        marker = data[position + 1]
        if data[position] != 0xFF or marker == 0xFF:
            position += 1
        elif marker == 0xDA:
            return data[position + 4] < components
        elif marker == 0x01 or 0xD0 <= marker <= 0xD7:
            position += 2
        else:
            if marker in _JPEG_FRAMES:
                components = data[position + 9]
                if marker not in _JPEG_SEQUENTIAL:
                    return True
            position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return False


def _check_size(kind: str, size: tuple[int, int]) -> None:
    width, height = size
    limit = MAX_MEGAPIXELS[kind]
    if width * height > limit * 1e6:
        raise Unusable(
            f"the picture claims {width}×{height} pixels; "
            f"at most {limit:g} megapixels of a {kind} are read"
        )


def _webp_size(data: bytes) -> tuple[int, int]:
    """Width and height after RFC 9649: extended, lossless or lossy."""
    chunk, body = data[12:16], data[20:30]
    if len(body) < 10:
        raise Unusable("the WebP has no readable header")
    if chunk == b"VP8X":
        return int.from_bytes(body[4:7], "little") + 1, int.from_bytes(body[7:10], "little") + 1
    if chunk == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    sides = int.from_bytes(body[6:8], "little"), int.from_bytes(body[8:10], "little")
    return sides[0] & 0x3FFF, sides[1] & 0x3FFF


def _shrunk(picture: Image.Image) -> Image.Image:
    """RGB over white, both sides divided by a whole number, in bands so that no copy is large."""
    width, height = picture.size
    factor = max(1, max(width, height) // (2 * MAX_SIDE))
    rows = max(factor, _BAND_ROWS // factor * factor)
    small = Image.new("RGB", (-(-width // factor), -(-height // factor)), "white")
    for top in range(0, height, rows):
        band = _over_white(picture.crop((0, top, width, min(top + rows, height))))
        small.paste(band.reduce(factor), (0, top // factor))
    return small


def _over_white(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I"):
        # Sixteen bits a pixel; converting alone would clip instead of scale.
        picture = picture.point(lambda level: level / 257).convert("L")
    if "A" not in picture.mode and "transparency" not in picture.info:
        return picture.convert("RGB")
    picture = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")


def _upright(small: Image.Image, original: Image.Image) -> Image.Image:
    try:
        orientation = original.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # noqa: BLE001 - broken metadata raises anything; the pixels are good
        return small
    if orientation not in _ORIENTATIONS:
        return small
    small.getexif()[ExifTags.Base.Orientation] = orientation
    return ImageOps.exif_transpose(small)


def _reason(name: str, data: bytes, error: Exception) -> str:
    if "truncated" in str(error).lower():
        return f"the {name} is cut off after {len(data):,} bytes"
    return f"the {name} cannot be decoded: {str(error)[:200]}"
