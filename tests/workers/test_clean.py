"""What the cleaner lets pass, and what goes through its children."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile
from PIL import ExifTags, Image

from models.preprocess.cleaning import Cleaned, Part, Spoilt
from workers.clean import Cleaner, is_clean


def picture(kind: str = "JPEG", mode: str = "RGB", side: int = 224, orientation: int = 1) -> Part:
    note = Image.Exif()
    note[ExifTags.Base.Orientation] = orientation
    out = io.BytesIO()
    Image.effect_noise((side, side // 2), 50).convert(mode).save(out, kind, exif=note)
    return Part("image", out.getvalue())


def sound(
    kind: str = "FLAC",
    rate: int = 16_000,
    channels: int = 1,
    subtype: str = "PCM_16",
    n: int = 8000,
) -> Part:
    out = io.BytesIO()
    samples = 0.1 * np.sin(np.arange(n) / 9)[:, None].repeat(channels, axis=1)
    soundfile.write(out, samples, rate, format=kind, subtype=subtype)
    return Part("audio", out.getvalue())


FLAT, SILENCE = io.BytesIO(), io.BytesIO()
Image.new("RGB", (40, 40), "teal").save(FLAT, "JPEG")
soundfile.write(SILENCE, np.zeros(8000), 16_000, format="FLAC", subtype="PCM_16")
CLEAN = {
    "colour": picture(),
    "grey": picture(mode="L"),
    "flac": sound(),
    "15 s": sound(n=240_000),
}
NOT_YET = {
    "large": picture(side=257),
    "turned": picture(orientation=6),
    "cmyk": picture(mode="CMYK"),
    "png": picture("PNG"),
    "cut": Part("image", CLEAN["colour"].data[:-500]),
    "wav": sound("WAV"),
    "48 kHz": sound(rate=48_000),
    "stereo": sound(channels=2),
    "24 bits": sound(subtype="PCM_24"),
    "16 s": sound(n=256_000),
    "cut sound": Part("audio", CLEAN["15 s"].data[:-500]),
    "nothing": Part("image", b""),
    "one colour": Part("image", FLAT.getvalue()),
    "silence": Part("audio", SILENCE.getvalue()),
}


@pytest.mark.parametrize("name", CLEAN)
def test_what_is_clean_passes_as_it_is(name: str) -> None:
    assert is_clean(CLEAN[name])


@pytest.mark.parametrize("name", NOT_YET)
def test_all_else_goes_through_the_children(name: str) -> None:
    assert not is_clean(NOT_YET[name])


def test_answers_stand_in_the_order_of_the_parts() -> None:
    parts = [*NOT_YET.values(), *CLEAN.values()]
    with Cleaner() as cleaner:
        answers = cleaner(parts)
        assert cleaner([]) == []
    found = dict(zip([*NOT_YET, *CLEAN], answers, strict=True))
    assert {name for name, answer in found.items() if isinstance(answer, Spoilt)} == {
        "cut",
        "cut sound",
        "nothing",
        "one colour",
        "silence",
    }
    for name, answer in found.items():
        if isinstance(answer, Cleaned):
            kind = (CLEAN | NOT_YET)[name].kind
            assert is_clean(Part(kind, answer.data)), name
            assert answer.cut == (name == "16 s")
    assert [found[name] for name in CLEAN] == [Cleaned(part.data) for part in CLEAN.values()]
