"""Formats and small faults that phones, browsers and pipes make: read, or refused by a word."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from pipeline.media import CleanMedia, MediaCleaner, MediaError, RawMedia
from tests.pipeline.test_media import decoded, near, one, opened, picture, tone


@pytest.fixture(scope="module")
def cleaner() -> Iterator[MediaCleaner]:
    with MediaCleaner() as cleaner:
        yield cleaner


def heic(size: tuple[int, int] = (600, 300)) -> bytes:
    out = io.BytesIO()
    source = Image.open(io.BytesIO(picture("PNG", size)))
    pillow_heif.from_pillow(source).save(out, quality=90)
    return out.getvalue()


def box(name: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), name) + body


def versioned(name: bytes, *parts: bytes, version: int = 0) -> bytes:
    return box(name, struct.pack(">I", version << 24), *parts)


def inside(data: bytes, *path: bytes) -> bytes:
    """The body of a box in a HEIF file."""
    at = 0
    while at + 8 <= len(data):
        size, name = struct.unpack_from(">I4s", data, at)
        if name == path[0]:
            body = data[at + (12 if name == b"meta" else 8) : at + size]
            return inside(body, *path[1:]) if len(path) > 1 else body
        at += size
    raise KeyError(path[0])


def tiled_heic(columns: int, rows: int, tile: int = 512) -> bytes:
    """A picture of many tiles (ISO 23008-12, 6.6.2.3), as telephones write it; all are the same."""
    out = io.BytesIO()
    one_half = Image.open(io.BytesIO(picture("PNG", (tile, tile))))
    pillow_heif.from_pillow(one_half).save(out, quality=60)
    one_tile, count = out.getvalue(), columns * rows
    pixels = inside(one_tile, b"mdat")
    tiles, grid = range(1, count + 1), count + 1
    size = columns * tile, rows * tile

    def entry(number: int, kind: bytes) -> bytes:
        return versioned(b"infe", struct.pack(">HH4sx", number, 0, kind), version=2)

    def meta(offset: int) -> bytes:
        places = [(n, 0, 0, 1, offset, len(pixels)) for n in tiles] + [(grid, 1, 0, 1, 0, 8)]
        where = b"".join(struct.pack(">HHHHII", *place) for place in places)
        kinds = b"".join(entry(n, b"hvc1") for n in tiles) + entry(grid, b"grid")
        parts = b"".join(struct.pack(">H", n) for n in tiles)
        properties = box(
            b"ipco",
            box(b"hvcC", inside(one_tile, b"meta", b"iprp", b"ipco", b"hvcC")),
            versioned(b"ispe", struct.pack(">II", tile, tile)),
            versioned(b"ispe", struct.pack(">II", *size)),
        )
        of_items = [struct.pack(">HBBB", n, 2, 0x81, 2) for n in tiles]
        of_items.append(struct.pack(">HBB", grid, 1, 3))
        return versioned(
            b"meta",
            versioned(b"hdlr", struct.pack(">I4s13x", 0, b"pict")),
            versioned(b"pitm", struct.pack(">H", grid)),
            versioned(b"iloc", struct.pack(">HH", 0x4400, grid), where, version=1),
            versioned(b"iinf", struct.pack(">H", grid), kinds),
            versioned(b"iref", box(b"dimg", struct.pack(">HH", grid, count), parts)),
            box(b"iprp", properties, versioned(b"ipma", struct.pack(">I", grid), *of_items)),
            box(b"idat", struct.pack(">BBBBHH", 0, 0, rows - 1, columns - 1, *size)),
        )

    brand = box(b"ftyp", b"heic", bytes(4), b"mif1heic")
    return brand + meta(len(brand) + len(meta(0)) + 8) + box(b"mdat", pixels)


def moving(name: str) -> bytes:
    """The first frame as `picture`, the second black."""
    out = io.BytesIO()
    first = Image.open(io.BytesIO(picture("PNG")))
    more = [Image.new("RGB", first.size)]
    first.save(out, name, save_all=True, append_images=more)
    return out.getvalue()


PICTURES = {
    "GIF": picture("GIF", mode="P"),
    "moving GIF": moving("GIF"),
    "moving WebP": moving("WEBP"),
    "moving AVIF": moving("AVIF"),
    "AVIF": picture("AVIF"),
    "HEIC": heic(),
    "large AVIF": picture("AVIF", (2400, 1200 * 2)),
    "large WebP": picture("WEBP", (2400, 2400)),
    "JPEG without its end": picture("JPEG")[:-2],
    "JPEG with half its end": picture("JPEG")[:-1],
    "large JPEG without its end": picture("JPEG", (3000, 1500))[:-2],
}


@pytest.mark.parametrize("name", PICTURES)
def test_picture_is_read(cleaner: MediaCleaner, name: str) -> None:
    result = opened(one(cleaner, "image", PICTURES[name]))
    middle = result.height // 2
    assert near(result.getpixel((20, middle)), (255, 0, 0))
    assert near(result.getpixel((236, middle)), (0, 0, 255))


def test_heic_of_tiles_is_read(cleaner: MediaCleaner) -> None:
    result = opened(one(cleaner, "image", tiled_heic(8, 6)))
    assert result.size == (256, 192)
    assert near(result.getpixel((200, 100)), (255, 0, 0))


def chunk(name: bytes, body: bytes, crc: int | None = None) -> bytes:
    crc = zlib.crc32(name + body) if crc is None else crc
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", crc)


@pytest.mark.parametrize(
    "broken",
    [
        chunk(b"tEXt", b"Comment\0a remark", crc=7),
        chunk(b"iTXt", b"\xff" * 40, crc=7),
        chunk(b"zTXt", b"note\0\0" + zlib.compress(bytes(5_000_000))),
        chunk(b"iCCP", b"profile\0\0nonsense", crc=7),
        chunk(b"eXIf", b"MM", crc=7),
        struct.pack(">I4s", 0x7FFFFFFF, b"tEXt") + b"a remark",
    ],
)
def test_damage_beside_the_pixels_of_a_png_is_harmless(
    cleaner: MediaCleaner, broken: bytes
) -> None:
    whole = picture("PNG")
    result = opened(one(cleaner, "image", whole[:33] + broken + whole[33:]))
    assert near(result.getpixel((20, 64)), (255, 0, 0))


def noise(name: str) -> bytes:
    out = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 255, (400, 400, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(out, name)
    return out.getvalue()


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "AVIF"])
@pytest.mark.parametrize("part", [0.3, 0.5, 0.9])
def test_cut_picture_is_damaged(cleaner: MediaCleaner, name: str, part: float) -> None:
    whole = noise(name)
    [answer] = cleaner.clean([RawMedia("image", whole[: round(part * len(whole))])])
    assert isinstance(answer, MediaError)
    assert answer.code == "damaged"


SOUNDS = [
    ("adts", "aac", "fltp"),
    ("caf", "pcm_s16be", "s16"),
    ("aiff", "pcm_s16be", "s16"),
    ("ipod", "aac", "fltp"),
    ("wav", "pcm_s24le", "s32"),
    ("wav", "pcm_mulaw", "s16"),
    ("wav", "pcm_alaw", "s16"),
    ("matroska", "aac", "fltp"),
]


@pytest.mark.parametrize(("container", "codec", "sample_format"), SOUNDS)
def test_sound_is_read(
    cleaner: MediaCleaner, container: str, codec: str, sample_format: str
) -> None:
    rate, channels, samples = decoded(one(cleaner, "audio", tone(container, codec, sample_format)))
    assert (rate, channels) == (16_000, 1)
    assert 15_000 < len(samples) < 18_000


def with_length(wav: bytes, length: int) -> bytes:
    at = wav.index(b"data") + 4
    return wav[:at] + struct.pack("<I", length & 0xFFFFFFFF) + wav[at + 4 :]


@pytest.mark.parametrize("length", [0, 0xFFFFFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF - 36])
def test_wav_of_unknown_length_is_whole(cleaner: MediaCleaner, length: int) -> None:
    sound = tone("wav", "pcm_s16le", "s16")
    *_, samples = decoded(one(cleaner, "audio", with_length(sound, length)))
    assert len(samples) == pytest.approx(16_000, abs=200)


def test_wav_of_slightly_wrong_length_is_whole(cleaner: MediaCleaner) -> None:
    sound = tone("wav", "pcm_s16le", "s16")
    for error in (-400, -2, 1, 2, 400):
        length = 4 * 44_100 + error
        *_, samples = decoded(one(cleaner, "audio", with_length(sound, length)))
        assert len(samples) == pytest.approx(16_000, abs=200)


def test_tag_larger_than_is_probed_is_skipped(cleaner: MediaCleaner) -> None:
    tag = b"ID3\x04\0\0" + bytes([0, 12, 0, 0]) + bytes(12 << 14)
    for container, codec, layout in (("mp3", "libmp3lame", "s16p"), ("adts", "aac", "fltp")):
        *_, samples = decoded(one(cleaner, "audio", tag + tone(container, codec, layout)))
        assert len(samples) > 15_000


AMR = b"#!AMR\n" + (b"\x3c" + bytes(range(31))) * 60


def test_amr_is_read(cleaner: MediaCleaner) -> None:
    *_, samples = decoded(one(cleaner, "audio", AMR))
    assert len(samples) == pytest.approx(60 * 320, abs=320)
    assert isinstance(one(cleaner, "audio", AMR[:-5]), CleanMedia)


@pytest.mark.parametrize(
    ("kind", "data", "code"),
    [
        ("image", tone("wav", "pcm_s16le", "s16"), "wrong_kind"),
        ("image", tone("mp4", "aac", "fltp"), "wrong_kind"),
        ("image", AMR, "wrong_kind"),
        ("audio", picture("PNG"), "wrong_kind"),
        ("audio", heic(), "wrong_kind"),
        ("image", b"%PDF-1.7", "unknown_format"),
        ("audio", b"%PDF-1.7", "unknown_format"),
        ("image", b"", "empty"),
        ("image", picture("JPEG") + bytes(10_000_000), "too_large"),
        ("audio", tone("wav", "pcm_s16le", "s16")[:60_000], "damaged"),
    ],
)
def test_each_refusal_has_its_word(
    cleaner: MediaCleaner, kind: str, data: bytes, code: str
) -> None:
    [answer] = cleaner.clean([RawMedia("image" if kind == "image" else "audio", data)])
    assert isinstance(answer, MediaError)
    assert answer.code == code
