"""What passes between the cleaner and its child: msgpack behind a length, never pickle."""

from __future__ import annotations

import socket
import struct
import time
from typing import Literal

import msgspec

from pipeline.media.reasons import UnreadReason

MAX_INPUT_BYTES = 10_000_000
"""Largest picture or sound that is read."""
MAX_ANSWER_BYTES = 2_000_000
"""Fifteen seconds of incompressible 16-bit FLAC are 0.5 MB; the rest is room."""

_length = struct.Struct(">I")


class RawMedia(msgspec.Struct, frozen=True):
    """A picture or a sound as it came, in any of the formats that are read."""

    kind: Literal["image", "audio"]
    data: bytes


class CleanMedia(msgspec.Struct, frozen=True, tag="clean"):
    """JPEG, RGB, longest side <= 256 pixels; or FLAC, 16 kHz mono, <= 15 s. No metadata."""

    mime: Literal["image/jpeg", "audio/flac"]
    data: bytes


class MediaError(msgspec.Struct, frozen=True, tag="error"):
    """Why a picture or a sound cannot be used: a value and not an exception."""

    reason: str
    """One plain clause."""
    code: UnreadReason = "damaged"
    """The fixed word for it."""


Answer = CleanMedia | MediaError

READY = b"ready"
_encoder = msgspec.msgpack.Encoder()
_raw = msgspec.msgpack.Decoder(RawMedia)
_answer: msgspec.msgpack.Decoder[Answer] = msgspec.msgpack.Decoder(Answer)


def send(channel: socket.socket, message: RawMedia | Answer | bytes) -> None:
    """Send one message within the timeout that the socket has."""
    body = message if isinstance(message, bytes) else _encoder.encode(message)
    channel.sendall(_length.pack(len(body)) + body)


def receive(channel: socket.socket, limit: int, deadline: float | None = None) -> bytes:
    """Receive one message of at most `limit` bytes, by `deadline` (`time.monotonic()`).

    Raises:
        TimeoutError: nothing complete by the deadline.
        EOFError: the other side is gone.
        ValueError: the announced length is above the limit.
    """
    (length,) = _length.unpack(_exactly(channel, _length.size, deadline))
    if length > limit:
        raise ValueError(f"a message of {length} bytes where at most {limit} are taken")
    return _exactly(channel, length, deadline)


def decode_raw(body: bytes) -> RawMedia:
    """Read a request. Raises `msgspec.DecodeError`."""
    return _raw.decode(body)


def decode_answer(body: bytes) -> Answer:
    """Read an answer. Raises `msgspec.DecodeError`."""
    return _answer.decode(body)


def _exactly(channel: socket.socket, length: int, deadline: float | None) -> bytes:
    received = bytearray(length)
    view, done = memoryview(received), 0
    while done < length:
        if deadline is not None:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            channel.settimeout(left)
        count = channel.recv_into(view[done:])
        if count == 0:
            raise EOFError
        done += count
    return bytes(received)
