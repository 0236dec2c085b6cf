"""The process that decodes what strangers sent: `python -m pipeline.media.child`.

It reads one request after the other from the socket on its standard input and answers each
before it reads the next. It ends with its parent.
"""

from __future__ import annotations

import io
import os
import socket
import wave

import av
import pillow_heif
from PIL import Image

from pipeline.media import limits, wire
from pipeline.media.audio import clean_audio
from pipeline.media.image import clean_image
from pipeline.media.still import read_still
from pipeline.media.unusable import Unusable
from pipeline.media.wire import CleanMedia, MediaError, RawMedia

_REQUEST_BYTES = wire.MAX_INPUT_BYTES + 1000


def answer(item: RawMedia) -> CleanMedia | MediaError:
    """Clean one item; whatever goes wrong with it is the answer."""
    try:
        if item.kind == "image":
            return CleanMedia("image/jpeg", clean_image(item.data))
        return CleanMedia("audio/flac", clean_audio(item.data))
    except Unusable as error:
        return MediaError(str(error), error.code)
    except MemoryError:
        reason = "decoding it takes more memory than one picture or sound may have"
        return MediaError(reason, "too_large")
    except Exception as error:  # noqa: BLE001 - codecs raise anything on hostile bytes
        return MediaError(f"it cannot be decoded: {type(error).__name__}: {str(error)[:200]}")


def _warm_up() -> None:
    """Load what the codecs load on first use: behind the limits they can open no file."""
    # What shows or sounds nothing would not come as far as the encoders.
    shades = Image.linear_gradient("L").resize((64, 64)).convert("RGB")
    for name in ("JPEG", "PNG", "WEBP", "GIF", "AVIF"):
        picture = io.BytesIO()
        shades.save(picture, name)
        clean_image(picture.getvalue())
        if name in {"WEBP", "AVIF"}:
            read_still({"WEBP": "WebP"}.get(name, name), picture.getvalue(), 32)
    picture = io.BytesIO()
    pillow_heif.from_pillow(shades).save(picture, quality=50)
    clean_image(picture.getvalue())
    sound = io.BytesIO()
    with wave.open(sound, "wb") as out:
        out.setnchannels(2)
        out.setsampwidth(2)
        out.setframerate(44_100)
        out.writeframes(bytes(range(256)) * 70)
    clean_audio(sound.getvalue())


def main() -> None:
    """Serve until the parent closes its end."""
    limits.die_with_parent()
    channel = socket.socket(fileno=os.dup(0))
    av.logging.set_level(None)
    # The size is checked in the header, by format, before anything is decoded.
    Image.MAX_IMAGE_PIXELS = None
    _warm_up()
    # The parent's log shows why a start failed; what codecs print about an item is noise.
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 2)
    try:
        limits.confine()
    except (OSError, ValueError) as error:
        wire.send(channel, f"its limits cannot be set: {error}".encode())
        return
    wire.send(channel, wire.READY)
    while True:
        try:
            item = wire.decode_raw(wire.receive(channel, _REQUEST_BYTES))
        except (EOFError, ConnectionError):
            return
        limits.allow_cpu()
        wire.send(channel, answer(item))


if __name__ == "__main__":
    main()
