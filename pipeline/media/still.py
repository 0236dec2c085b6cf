"""Large stills by decoders that hold less of them than Pillow's."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import av
import pillow_heif
from PIL import Image

from pipeline.media.bands import over_white, shrunk
from pipeline.media.unusable import Unusable

_OPTIONS = {
    "codec_whitelist": "webp,vp8,libdav1d",
    "protocol_whitelist": "",
    "enable_drefs": "0",
}
_THUMBNAIL_SIDE = 160
_DEMUXERS = {"WebP": "webp_pipe", "AVIF": "mov"}
# One thread: the child may have few bytes for the stacks of more.
pillow_heif.options.DECODE_THREADS = 1


def read_still(name: str, data: bytes, side: int) -> Image.Image:
    """A WebP or AVIF, over white, its longest side `side` pixels, scaled from FFmpeg's frame.

    Raises:
        Unusable: it cannot be decoded.
        MemoryError: the decoder asked for more than the process may have.
    """
    try:
        source = io.BytesIO(data)
        with av.open(source, "r", format=_DEMUXERS[name], options=_OPTIONS) as container:
            stream = container.streams.video[0]
            stream.codec_context.thread_count = 1
            frame = next(container.decode(stream))
    except av.error.MemoryError as error:
        raise MemoryError from error
    except (av.FFmpegError, ValueError, IndexError, StopIteration) as error:
        raise Unusable(f"the {name} cannot be decoded: {error}"[:240]) from error
    longest = max(frame.width, frame.height)
    width, height = (max(1, round(n * side / longest)) for n in (frame.width, frame.height))
    clear = "a" in frame.format.name.removeprefix("gray")
    small = frame.reformat(width, height, "rgba" if clear else "rgb24", interpolation="AREA")
    picture: Image.Image = small.to_image()  # type: ignore[no-untyped-call]
    return over_white(picture)


def read_heic(data: bytes, check: Callable[[tuple[int, int]], None]) -> Image.Image:
    """The main picture of a HEIC, upright, some hundred pixels a side.

    Of one too large to decode its thumbnail is read, which telephones put beside it.

    Raises:
        Unusable: it cannot be decoded, or what `check` raises of its size.
        MemoryError: the decoder asked for more than the process may have.
    """
    try:
        heif = pillow_heif.open_heif(data)
        picture: Any = heif[heif.primary_index]
        try:
            check(picture.size)
        except Unusable:
            sides: list[int] = picture.info["thumbnails"]
            if max(sides, default=0) < _THUMBNAIL_SIDE:
                raise
            picture = picture.get_thumbnail(sides.index(max(sides)))
        return _of_heic(picture)
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, RuntimeError) as error:
        raise Unusable(f"the HEIC cannot be decoded: {str(error)[:200]}") from error


def _of_heic(picture: Any) -> Image.Image:
    pixels, stride, mode = memoryview(picture.data), picture.stride, picture.mode
    width, height = picture.size

    def band(top: int, bottom: int) -> Image.Image:
        rows = pixels[top * stride : bottom * stride]
        return Image.frombytes(mode, (width, bottom - top), rows, "raw", mode, stride, 1)

    return shrunk((width, height), band)
