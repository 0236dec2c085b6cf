"""Pictures of common formats in, a small JPEG without metadata out."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial

from PIL import (
    AvifImagePlugin,
    ExifTags,
    GifImagePlugin,
    Image,
    ImageOps,
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from pipeline.media import jpeg, limits
from pipeline.media.bands import MAX_SIDE, shrunk
from pipeline.media.formats import sniff_picture
from pipeline.media.nothing import is_blank
from pipeline.media.png import pixels_only
from pipeline.media.still import read_heic, read_still
from pipeline.media.unusable import Unusable

# Pillow loads plug-ins on demand, and the confined child can open no file.
PLUGINS = (
    AvifImagePlugin, GifImagePlugin, JpegImagePlugin, MpoImagePlugin, PngImagePlugin,
    TiffImagePlugin, WebPImagePlugin,
)  # fmt: skip
# The child may have few bytes for the stacks of threads.
AvifImagePlugin.DEFAULT_MAX_THREADS = 1

JPEG_QUALITY = 85
MAX_MEGAPIXELS = {
    "JPEG": 250.0, "PNG": 16.0, "WebP": 16.0, "GIF": 25.0, "AVIF": 16.0, "HEIC": 13.0,
}  # fmt: skip
"""By what a decoder holds of a pixel: a plain JPEG is scaled while it is read; PNG 4 bytes; WebP
up to 4 and AVIF 3, each read by FFmpeg where it is large; GIF 1; HEIC 6."""
MAX_COEFFICIENT_BYTES = 160_000_000
"""What a JPEG that comes in several passes (progressive) holds of all its pixels at once: 26
megapixels of full colour, 53 with the colour at a quarter, as phones and services write it."""
_USUAL_COEFFICIENT_BYTES = 80_000_000
"""From there on the decoder gets more memory than others have."""
_SMALL_MEGAPIXELS = 4.0
"""Up to here Pillow reads WebP and AVIF, with their transparency: it holds 16 bytes a pixel."""
_FORMATS = {"JPEG": "JPEG", "PNG": "PNG", "WebP": "WEBP", "GIF": "GIF", "AVIF": "AVIF"}
_ORIENTATIONS = range(2, 9)


def clean_image(data: bytes) -> bytes:
    """A JPEG of at most 256 pixels a side: upright, over white, RGB, without metadata.

    Of a picture that moves, the first frame.

    Raises:
        Unusable: another format, too many pixels, cut off or broken.
        MemoryError: the decoder asked for more than the process may have.
    """
    name = sniff_picture(data)
    small = _READERS[name](data)
    small.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
    if is_blank(small):
        raise Unusable(f"the {name} shows one colour alone", "blank")
    out = io.BytesIO()
    small.save(out, "JPEG", quality=JPEG_QUALITY)
    return out.getvalue()


def _read(name: str, data: bytes) -> Image.Image:
    """Pillow's reading, some hundred pixels a side."""
    try:
        with Image.open(io.BytesIO(data), formats=[_FORMATS[name]]) as picture:
            _check_size(name, picture.size)
            picture.draft("RGB", (2 * MAX_SIDE, 2 * MAX_SIDE))
            picture.load()
            width = picture.width
            small = shrunk(picture.size, lambda top, bottom: picture.crop((0, top, width, bottom)))
            return _upright(small, picture)
    except UnidentifiedImageError as error:
        raise Unusable(f"the {name} has no readable header") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise Unusable(_reason(name, data, error)) from error


def _read_jpeg(data: bytes) -> Image.Image:
    frame = jpeg.frame_of(data)
    if frame.in_several_passes and frame.coefficient_bytes > MAX_COEFFICIENT_BYTES:
        raise Unusable(
            f"the progressive JPEG takes {frame.coefficient_bytes / 1e6:,.0f} MB to decode; "
            f"at most {MAX_COEFFICIENT_BYTES / 1e6:.0f} are had",
            "too_large",
        )
    large = frame.in_several_passes and frame.coefficient_bytes > _USUAL_COEFFICIENT_BYTES
    with limits.more_data() if large else nullcontext():
        try:
            return _read("JPEG", data)
        except Unusable as error:
            if "cut off" not in str(error):
                raise
            return jpeg.read_without_end(data, lambda whole: _read("JPEG", whole), error)


def _read_png(data: bytes) -> Image.Image:
    try:
        return _read("PNG", data)
    except Unusable as error:
        if error.code == "too_large":
            raise
    return _read("PNG", pixels_only(data))


def _read_webp(data: bytes) -> Image.Image:
    # Pillow's decoder takes the memory for the whole canvas as it opens the file.
    width, height = _webp_size(data)
    _check_size("WebP", (width, height))
    small = width * height <= _SMALL_MEGAPIXELS * 1e6
    return _read("WebP", data) if small else read_still("WebP", data, 2 * MAX_SIDE)


def _read_avif(data: bytes) -> Image.Image:
    try:
        with Image.open(io.BytesIO(data), formats=["AVIF"]) as picture:
            width, height = picture.size
    except (OSError, SyntaxError, ValueError) as error:
        raise Unusable("the AVIF has no readable header") from error
    _check_size("AVIF", (width, height))
    if width * height <= _SMALL_MEGAPIXELS * 1e6:
        return _read("AVIF", data)
    small = read_still("AVIF", data, 2 * MAX_SIDE)
    with Image.open(io.BytesIO(data), formats=["AVIF"]) as picture:
        return _upright(small, picture)


def _read_heic(data: bytes) -> Image.Image:
    return read_heic(data, partial(_check_size, "HEIC"))


_READERS: dict[str, Callable[[bytes], Image.Image]] = {
    "JPEG": _read_jpeg,
    "PNG": _read_png,
    "WebP": _read_webp,
    "GIF": lambda data: _read("GIF", data),
    "AVIF": _read_avif,
    "HEIC": _read_heic,
}


def _check_size(kind: str, size: tuple[int, int]) -> None:
    width, height = size
    limit = MAX_MEGAPIXELS[kind]
    if width * height > limit * 1e6:
        raise Unusable(
            f"the picture claims {width}×{height} pixels; "
            f"at most {limit:g} megapixels of a {kind} are read",
            "too_large",
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
    if "truncated" in str(error).lower() or isinstance(error, EOFError):
        return f"the {name} is cut off after {len(data):,} bytes"
    return f"the {name} cannot be decoded: {str(error)[:200]}"
