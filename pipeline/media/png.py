"""PNG put right: only the chunks that make the pixels, and an end."""

from __future__ import annotations

import struct
import zlib

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_OF_PIXELS = {b"IHDR", b"PLTE", b"tRNS", b"IDAT"}


def pixels_only(data: bytes) -> bytes:
    """The PNG without its texts, times and profiles, whose damage does not touch the picture.

    Checksums are kept, so damaged pixels stay damaged. The orientation is kept where its chunk is
    whole. Where a length is absurd, reading goes on at the next chunk of pixels.
    """
    kept, at = [_SIGNATURE], len(_SIGNATURE)
    while at + 12 <= len(data):
        size, name = struct.unpack_from(">I4s", data, at)
        end = at + 12 + size
        if end > len(data) and name == b"IDAT":
            body = data[at + 8 :]
            kept.append(struct.pack(">I", len(body)) + name + body)
            kept.append(struct.pack(">I", zlib.crc32(name + body)))
            break
        if end > len(data) or not name.isalpha():
            at = max(data.find(b"IDAT", at + 8), data.find(b"PLTE", at + 8, at + 100_000)) - 4
            if at < 0:
                break
            continue
        whole = data[at:end]
        intact = name == b"eXIf" and zlib.crc32(whole[4:-4]) == int.from_bytes(whole[-4:], "big")
        if name in _OF_PIXELS or intact:
            kept.append(whole)
        if name == b"IEND":
            break
        at = end
    return b"".join((*kept, struct.pack(">I4sI", 0, b"IEND", zlib.crc32(b"IEND"))))
