"""Bombs, cut files and disguises: an error in time, in little memory, and the next goes on."""

from __future__ import annotations

import io
import random
import re
import struct
import time
import wave
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import av
import pytest
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from PIL import Image

from pipeline.media import CleanMedia, MediaCleaner, MediaError, RawMedia
from pipeline.media.limits import MORE_DATA_BYTES

SAMPLES = Path(__file__).parents[3] / "shared" / "samples" / "hostile"
SECONDS = 5.5
"""The limit of an item, and the time to notice."""
MAX_GROWTH_BYTES = 100_000_000

Kind = Literal["image", "audio"]


def chunk(name: bytes, body: bytes) -> bytes:
    crc = zlib.crc32(name + body)
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", crc)


def png(width: int, height: int, packed_pixels: bytes, *more: bytes) -> bytes:
    """One bit a pixel, grey."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    pixels = chunk(b"IDAT", packed_pixels) if packed_pixels else b""
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(more) + pixels + chunk(b"IEND", b"")


def zeros(count: int) -> bytes:
    return zlib.compress(bytes(count), 9)


def jpeg(side: int = 400, **options: bool) -> bytes:
    gradient = Image.radial_gradient("L").resize((side, side)).convert("RGB")
    out = io.BytesIO()
    gradient.save(out, "JPEG", **options)
    return out.getvalue()


def jpeg_claiming(width: int, height: int, **options: bool) -> bytes:
    data = bytearray(jpeg(**options))
    frame = data.index(b"\xff\xc2" if options else b"\xff\xc0")
    data[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def webp_claiming(side: int) -> bytes:
    bits = (side - 1) | (side - 1) << 14
    body = b"VP8L" + struct.pack("<I", 6) + b"\x2f" + struct.pack("<I", bits) + bytes(7)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def wav(seconds: float = 1.0) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(16_000)
        sound.writeframes(bytes(range(256)) * round(seconds * 125))
    return out.getvalue()


def wav_header(
    rate: int, channels: int, claimed_bytes: int, width: int = 2, code: int = 1
) -> bytes:
    block = channels * width
    layout = struct.pack(
        "<HHIIHH", code, channels, rate, rate * block & 0xFFFFFFFF, block, width * 8
    )
    return (
        b"RIFF" + struct.pack("<I", claimed_bytes) + b"WAVEfmt " + struct.pack("<I", 16) + layout
        + b"data" + struct.pack("<I", claimed_bytes)
    )  # fmt: skip


def encoded(container: str, codec: str) -> bytes:
    """Three seconds of noise, large enough to be cut anywhere."""
    frame = AudioFrame("s16", "mono", 3 * 48_000)
    frame.rate = 48_000
    frame.planes[0].update(random.Random(0).randbytes(2 * 3 * 48_000))
    out = io.BytesIO()
    with av.open(out, "w", format=container) as sink:
        stream = sink.add_stream(codec, rate=48_000, layout="mono")
        assert isinstance(stream, AudioStream)
        for packet in (*stream.encode(frame), *stream.encode(None)):
            sink.mux(packet)
    return out.getvalue()


HALF = len(jpeg()) // 2
IMAGES = {
    "JPEG cut in half": (jpeg()[:HALF], f"the JPEG is cut off after {HALF:,} bytes"),
    "JPEG of three bytes": (b"\xff\xd8\xff", "no readable header"),
    "JPEG header of 65500×65500": (
        jpeg_claiming(65_500, 65_500),
        "65500×65500 pixels; at most 250",
    ),
    "progressive JPEG header of 16000×16000": (
        jpeg_claiming(16_000, 16_000, progressive=True),
        "the progressive JPEG takes 768 MB to decode",
    ),
    "PNG bomb of 40000×40000": (png(40_000, 40_000, zeros(40_000 * 5001)), "40000×40000 pixels"),
    "PNG header of 65535×65535": (png(65_535, 65_535, b""), "65535×65535 pixels; at most 16"),
    "PNG that ends early": (png(4000, 4000, zeros(4000 * 501)[:900]), "the PNG"),
    "WebP header of 16384×16384": (webp_claiming(16_384), "16384×16384 pixels; at most"),
    "WebP of a few bytes": (webp_claiming(9)[:18], "no readable header"),
    "SVG": (
        b'<svg xmlns="http://www.w3.org/2000/svg"/>',
        "neither JPEG, PNG, WebP, GIF, AVIF nor HEIC",
    ),
    "PSD": (b"8BPS\0\1" + bytes(300), "neither JPEG, PNG, WebP, GIF, AVIF nor HEIC"),
    "FITS": (
        b"SIMPLE  =                    T".ljust(2880),
        "neither JPEG, PNG, WebP, GIF, AVIF nor HEIC",
    ),
    "GIF": (b"GIF89a\xff\xff\xff\xff\0\0\0;", "the GIF"),
    "nothing": (b"", "the picture is empty"),
    "too many bytes": (jpeg() + bytes(10_000_000), "bytes; at most 10,000,000 are read"),
}
SOUNDS = {
    "header alone": (wav_header(16_000, 1, 0), "the WAV holds 0 ms of sound"),
    "4 GB promised": (
        wav_header(16_000, 1, 0xFFFFFFF0) + wav()[44:],
        "the WAV is cut off",
    ),
    "no channels": (wav_header(16_000, 0, 400) + bytes(400), "the WAV"),
    "200 channels": (wav_header(16_000, 200, 40_000) + bytes(40_000), "200 channels"),
    "rate of 4294967295": (wav_header(0xFFFFFFFF, 1, 400) + bytes(400), "the WAV"),
    "not a number": (
        wav_header(16_000, 1, 8000, width=4, code=3) + struct.pack("<f", float("nan")) * 2000,
        "no finite numbers",
    ),
    "WAV cut in half": (wav(4)[:50_000], "the WAV is cut off"),
    "FLAC cut in half": (encoded("flac", "flac")[:100_000], "the FLAC"),
    "Ogg cut in half": (encoded("ogg", "libopus")[:9_000], "the Ogg is cut off after 9,000 bytes"),
    "MP4 cut in half": (encoded("mp4", "aac")[:9_000], "the MP4 cannot be decoded"),
    "a picture": (jpeg(), "the sound is a picture (JPEG)"),
    "a playlist": (b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", "neither WAV, FLAC, Ogg"),
    "nothing": (b"", "the sound is empty"),
    "too many bytes": (wav(1) + bytes(10_000_000), "bytes; at most 10,000,000 are read"),
}


@pytest.fixture(scope="module")
def cleaner() -> Iterator[MediaCleaner]:
    with MediaCleaner() as cleaner:
        cleaner.clean([RawMedia("image", jpeg())])
        yield cleaner


def resident_peak(cleaner: MediaCleaner) -> int:
    status = Path(f"/proc/{cleaner.pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found
    return int(found[1]) * 1024


def refused(cleaner: MediaCleaner, kind: Kind, data: bytes) -> str:
    """The reason; and the item behind it is cleaned by the same child."""
    before, child = resident_peak(cleaner), cleaner.pid
    start = time.monotonic()
    answer, after = cleaner.clean([RawMedia(kind, data), RawMedia("image", jpeg())])
    assert time.monotonic() - start < SECONDS
    assert isinstance(after, CleanMedia)
    assert isinstance(answer, MediaError), "it was cleaned"
    assert cleaner.pid == child
    assert resident_peak(cleaner) - before < MAX_GROWTH_BYTES
    return answer.reason


@pytest.mark.parametrize("name", IMAGES)
def test_hostile_picture_is_refused(cleaner: MediaCleaner, name: str) -> None:
    data, reason = IMAGES[name]
    assert reason in refused(cleaner, "image", data)


@pytest.mark.parametrize("name", SOUNDS)
def test_hostile_sound_is_refused(cleaner: MediaCleaner, name: str) -> None:
    data, reason = SOUNDS[name]
    assert reason in refused(cleaner, "audio", data)


@pytest.mark.parametrize(
    ("name", "size", "mode", "options"),
    [
        ("JPEG", (8000, 5000), "RGB", {"subsampling": 0}),
        ("JPEG", (4200, 3000), "RGB", {"subsampling": 0, "progressive": True}),
        ("JPEG", (6000, 4200), "RGB", {"subsampling": 2, "progressive": True}),
        ("PNG", (4000, 4000), "RGBA", {}),
        ("WEBP", (2000, 2000), "RGBA", {"lossless": True, "quality": 0}),
        ("WEBP", (4200, 3000), "RGB", {"quality": 80, "method": 0}),
        ("WEBP", (4200, 3800), "RGBA", {"lossless": True, "quality": 0, "method": 0}),
        ("GIF", (5000, 5000), "P", {}),
        ("AVIF", (2000, 2000), "RGBA", {"speed": 10}),
        ("AVIF", (4200, 3800), "RGB", {"speed": 10}),
    ],
)
def test_largest_pictures_fit_in_memory(
    name: str, size: tuple[int, int], mode: str, options: dict[str, int | bool]
) -> None:
    out = io.BytesIO()
    Image.radial_gradient("L").resize(size).convert(mode).save(out, name, **options)
    with MediaCleaner() as cleaner:
        cleaner.clean([RawMedia("image", jpeg())])
        before = resident_peak(cleaner)
        [answer] = cleaner.clean([RawMedia("image", out.getvalue())])
        assert isinstance(answer, CleanMedia), answer
        assert resident_peak(cleaner) - before < MAX_GROWTH_BYTES


LARGE = {
    "progressive, 50 megapixels": ((8160, 6144), {"progressive": True, "subsampling": 2}),
    "progressive, 26 megapixels of full colour": (
        (6000, 4333),
        {"progressive": True, "subsampling": 0},
    ),
    "baseline, 108 megapixels": ((12_000, 9000), {}),
    "baseline, 200 megapixels": ((16_320, 12_240), {"quality": 20}),
}


@pytest.mark.parametrize("name", LARGE)
def test_largest_pictures_of_phones_are_read(name: str) -> None:
    size, options = LARGE[name]
    out = io.BytesIO()
    Image.radial_gradient("L").resize(size).convert("RGB").save(out, "JPEG", **options)
    # Its processor time is bounded in any case.
    with MediaCleaner(seconds_per_item=30) as cleaner:
        cleaner.clean([RawMedia("image", jpeg())])
        before, child = resident_peak(cleaner), cleaner.pid
        for data in (out.getvalue(), out.getvalue()[:-2]):
            [answer] = cleaner.clean([RawMedia("image", data)])
            assert isinstance(answer, CleanMedia), answer
        assert cleaner.pid == child
        # It is the child's, and only while it reads a progressive one.
        assert resident_peak(cleaner) - before < 2 * MAX_GROWTH_BYTES
        limits = Path(f"/proc/{child}/limits").read_text()
        found = re.search(r"Max data size +(\d+) +(\d+)", limits)
        assert found
        assert int(found[2]) - int(found[1]) == MORE_DATA_BYTES


def collected(kind: Kind) -> list[Path]:
    return sorted(path for path in (SAMPLES / kind).rglob("*") if path.is_file())


@pytest.mark.skipif(
    not SAMPLES.is_dir(), reason="no collection of hostile files beside this repository"
)
@pytest.mark.parametrize("kind", ["image", "audio"])
def test_collected_files_never_end_the_child(cleaner: MediaCleaner, kind: Kind) -> None:
    child, before = cleaner.pid, resident_peak(cleaner)
    files = collected(kind)
    assert files
    for path in files:
        start = time.monotonic()
        [answer] = cleaner.clean([RawMedia(kind, path.read_bytes())])
        assert time.monotonic() - start < SECONDS, path
        assert cleaner.pid == child, (path, answer)
        # A text in a PNG is not looked at, whatever its size.
        harmless = path.name == "png_ztxt_50MB.png"
        if not harmless and path.parent.name in {"bombs", "truncated", "disguised", "own_wav"}:
            assert isinstance(answer, MediaError), path
    assert resident_peak(cleaner) - before < MAX_GROWTH_BYTES
