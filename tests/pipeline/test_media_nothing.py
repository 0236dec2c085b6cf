"""Whole files with nothing to see or to hear: a word, and not a mood."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from pipeline.media import LEFT_ALONE, CleanMedia, MediaCleaner, MediaError, RawMedia
from tests.pipeline.test_media_hostile import wav_header


@pytest.fixture(scope="module")
def cleaner() -> Iterator[MediaCleaner]:
    with MediaCleaner() as cleaner:
        yield cleaner


def wav(samples: bytes, rate: int = 44_100, channels: int = 1, width: int = 2) -> bytes:
    return wav_header(rate, channels, len(samples), width, 3 if width == 4 else 1) + samples


def shorts(levels: object) -> bytes:
    return np.asarray(levels).astype("<i2").tobytes()


TIME = np.arange(44_100) / 44_100
SILENT = {
    "zeros": wav(bytes(88_200)),
    "zeros of 20 s": wav(bytes(20 * 88_200)),
    "8 bits": wav(b"\x80" * 8000, 8000, width=1),
    "8 bits of zero bytes": wav(bytes(22_050), 22_050, width=1),
    "a constant level": wav(shorts(np.full(96_000, 12_000)), 48_000, 2),
    "a constant float": wav(struct.pack("<f", 0.5) * 44_100, width=4),
    "a level of 60 ms": wav(shorts(np.full(960, -20_000)), 16_000),
    "dither": wav(shorts(np.random.default_rng(0).integers(-2, 3, 44_100))),
    "-66 dBFS": wav(shorts(16 * np.sin(TIME * 2000))),
}
SOUNDING = {
    "-50 dBFS": wav(shorts(100 * np.sin(TIME * 2000))),
    "a click": wav(shorts(np.where(np.arange(44_100) == 9001, 20_000, 0)), 16_000),
    "a hum about a level": wav(shorts(9000 + 400 * np.sin(TIME * 700))),
    "30 ms": wav(shorts(5000 * np.sin(TIME * 2000))[: 2 * 480], 16_000),
}


@pytest.mark.parametrize("name", SILENT)
def test_silence_is_no_sound(cleaner: MediaCleaner, name: str) -> None:
    [answer] = cleaner.clean([RawMedia("audio", SILENT[name])])
    assert isinstance(answer, MediaError)
    assert answer.code == "no_sound"
    assert "silent" in answer.reason


@pytest.mark.parametrize("name", SOUNDING)
def test_what_is_quiet_or_short_is_a_sound(cleaner: MediaCleaner, name: str) -> None:
    [answer] = cleaner.clean([RawMedia("audio", SOUNDING[name])])
    assert isinstance(answer, CleanMedia), answer


def saved(picture: Image.Image, name: str) -> bytes:
    out = io.BytesIO()
    picture.save(out, name)
    return out.getvalue()


@pytest.mark.parametrize("name", ["PNG", "JPEG", "WEBP", "GIF", "AVIF"])
@pytest.mark.parametrize("size", [(1, 1), (33, 51), (700, 500)])
@pytest.mark.parametrize("colour", ["black", "white", "red", (13, 177, 91), (200, 10, 250)])
def test_one_colour_is_blank(
    cleaner: MediaCleaner, name: str, size: tuple[int, int], colour: str | tuple[int, int, int]
) -> None:
    [answer] = cleaner.clean([RawMedia("image", saved(Image.new("RGB", size, colour), name))])
    assert isinstance(answer, MediaError)
    assert answer.code == "blank"
    assert answer.reason.endswith("shows one colour alone")
    assert answer.code in LEFT_ALONE


def test_what_is_fully_clear_is_blank(cleaner: MediaCleaner) -> None:
    noise = Image.effect_noise((300, 200), 90).convert("RGBA")
    noise.putalpha(0)
    [answer] = cleaner.clean([RawMedia("image", saved(noise, "PNG"))])
    assert isinstance(answer, MediaError)
    assert answer.code == "blank"


def test_a_faint_drawing_is_a_picture(cleaner: MediaCleaner) -> None:
    faint = Image.new("RGB", (300, 200), (250, 250, 250))
    faint.paste((240, 240, 240), (50, 50, 60, 60))
    two = Image.new("RGB", (2, 1), "red")
    two.putpixel((1, 0), (0, 0, 255))
    for picture in (faint, two):
        [answer] = cleaner.clean([RawMedia("image", saved(picture, "PNG"))])
        assert isinstance(answer, CleanMedia), answer


@pytest.mark.parametrize("bytes_kept", [4, 10, 12, 200])
def test_a_cut_jpeg_is_said_to_be_as_long_as_it_is(cleaner: MediaCleaner, bytes_kept: int) -> None:
    whole = saved(Image.linear_gradient("L"), "JPEG")
    [answer] = cleaner.clean([RawMedia("image", whole[:bytes_kept])])
    assert isinstance(answer, MediaError)
    assert answer.code == "damaged"
    assert "after" not in answer.reason or f"after {bytes_kept} bytes" in answer.reason


@pytest.mark.parametrize("channels", [0, 1000, 65_535])
def test_channels_that_cannot_be_are_given_no_false_number(
    cleaner: MediaCleaner, channels: int
) -> None:
    data = wav_header(16_000, channels, 4000, 1) + bytes(4000)
    [answer] = cleaner.clean([RawMedia("audio", data)])
    assert isinstance(answer, MediaError)
    assert "claims 16000 samples a second and 0 channels" not in answer.reason
