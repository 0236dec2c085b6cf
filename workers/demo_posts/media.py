"""Pictures cut from public-domain photographs, and synthetic speech: needed to build only."""

from __future__ import annotations

import io
import random
import subprocess
from dataclasses import dataclass
from pathlib import Path

import av
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from PIL import Image

from pipeline.post import Media

SIDE = 192
JPEG_QUALITY = 72
MAX_SPEECH_SECONDS = 8.0
_RATE = 16_000
_BITS_PER_SECOND = 16_000
_VOICES = {"en": ("en-us", "en-gb", "en-us+f3", "en-gb+f2"), "zh": ("cmn", "cmn+f3", "cmn+m3")}


@dataclass(frozen=True, slots=True)
class Picture:
    """A file of scikit-image's packaged data, and what it shows."""

    file: str
    shows: str


# Public domain or CC0 by the word of scikit-image's documentation: see README.md.
PICTURES = (
    Picture("chelsea.png", "a cat"),
    Picture("coffee.png", "a cup of coffee"),
    Picture("rocket.jpg", "a rocket at its launch"),
    Picture("hubble_deep_field.jpg", "galaxies"),
    Picture("camera.png", "a man with a camera"),
    Picture("clock_motion.png", "a blurred clock"),
    Picture("brick.png", "a brick wall"),
    Picture("grass.png", "grass"),
    Picture("gravel.png", "gravel"),
    Picture("horse.png", "the outline of a horse"),
)


def crops(folder: Path, count: int, seed: str) -> list[Media]:
    """So many different square crops as small JPEGs, taking the pictures in turn."""
    dice = random.Random(seed)
    return [_crop(folder, PICTURES[index % len(PICTURES)], dice) for index in range(count)]


def _crop(folder: Path, picture: Picture, dice: random.Random) -> Media:
    with Image.open(folder / picture.file) as opened:
        image = opened.convert("RGB")
    side = round(min(image.size) * dice.uniform(0.5, 0.95))
    left = dice.randint(0, image.width - side)
    top = dice.randint(0, image.height - side)
    small = image.crop((left, top, left + side, top + side)).resize((SIDE, SIDE))
    out = io.BytesIO()
    small.save(out, "JPEG", quality=JPEG_QUALITY, optimize=True)
    alt = f"Detail of a picture of {picture.shows}, unrelated to the text"
    return Media(kind="image", mime="image/jpeg", data=out.getvalue(), alt=alt)


def speech(text: str, lang: str, dice: random.Random) -> Media | None:
    """The text spoken by eSpeak NG as Ogg Opus; None where it takes more than eight seconds."""
    voice = dice.choice(_VOICES[lang])
    spoken = subprocess.run(
        ["espeak-ng", "-v", voice, "--stdin", "--stdout"],
        input=text.encode(),
        capture_output=True,
        check=True,
    ).stdout
    pcm = _pcm(spoken)
    if len(pcm) > 2 * _RATE * MAX_SPEECH_SECONDS:
        return None
    alt = "The text, read by a speech synthesiser"
    return Media(kind="audio", mime="audio/ogg", data=_opus(pcm), alt=alt)


def _pcm(wav: bytes) -> bytes:
    """16 bits, mono, 16 kHz."""
    resampler = AudioResampler(format="s16", layout="mono", rate=_RATE)
    with av.open(io.BytesIO(wav), mode="r", format="wav") as container:
        frames = [f for frame in container.decode(audio=0) for f in resampler.resample(frame)]
    frames += resampler.resample(None)
    return b"".join(bytes(frame.planes[0])[: 2 * frame.samples] for frame in frames)


def _opus(pcm: bytes) -> bytes:
    out = io.BytesIO()
    frame = AudioFrame("s16", "mono", len(pcm) // 2)
    frame.rate = _RATE
    frame.planes[0].update(pcm)
    with av.open(out, "w", format="ogg", options={"fflags": "bitexact"}) as container:
        stream = container.add_stream("libopus", _RATE, layout="mono", format="s16")
        assert isinstance(stream, AudioStream)  # noqa: S101 - the codec decides the type
        stream.bit_rate = _BITS_PER_SECOND
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    return out.getvalue()
