"""How long a WAV's samples really are."""

from __future__ import annotations

from pipeline.media.unusable import Unusable

_OVERHEADS = (0, 1, 8, 36, 44)
_UNKNOWN = {0, 0x80000000, 0x7FFFF000} | {
    end - overhead for end in (0xFFFFFFFF, 0x7FFFFFFF) for overhead in _OVERHEADS
}
"""What programs write that stream and cannot go back: the largest number, or that less a header."""
_MAY_MISS = 0.05
"""The part of its samples by which a header may be wrong: players add or forget a block."""


def with_true_length(data: bytes) -> bytes:
    """The WAV with a header that promises the samples that are there; FFmpeg believes it.

    Raises:
        Unusable: it promises more than a little more than there is.
    """
    position = 12
    while position + 8 <= len(data):
        size = int.from_bytes(data[position + 4 : position + 8], "little")
        there = len(data) - position - 8
        if data[position : position + 4] == b"data":
            if size in _UNKNOWN or there < size <= there * (1 + _MAY_MISS):
                return _promising(data, position, there)
            if size > there:
                raise Unusable(
                    f"the WAV is cut off: its header promises {size:,} bytes of samples, "
                    f"{there:,} are there"
                )
            return data
        position += 8 + size + size % 2
    return data


def _promising(data: bytes, position: int, there: int) -> bytes:
    head = bytearray(data[: position + 8])
    head[:4] = b"RIFF"
    head[4:8] = (len(data) - 8).to_bytes(4, "little")
    head[position + 4 : position + 8] = there.to_bytes(4, "little")
    return bytes(head) + data[position + 8 :]
