"""Rows with less in them, or worse: modalities taken away, words dropped, blur, noise."""

import dataclasses
import io
import re
from collections.abc import Sequence

import numpy as np
import soundfile
from PIL import Image, ImageFilter

from models.corpora import Rows
from models.labels import MODALITIES, Modality
from models.preprocess import audio

WORD = re.compile(r"[\u3400-\u9fff]|[^\s\u3400-\u9fff]+")  # a Han character counts as one


def modalities(rows: Rows) -> tuple[Modality, ...]:
    """Those that any row has."""
    given = (
        any(text is not None for text in rows.texts),
        any(image is not None for image in rows.images),
        any(sound is not None for sound in rows.audios),
    )
    return tuple(name for name, there in zip(MODALITIES, given, strict=True) if there)


def only(rows: Rows, kept: Sequence[str]) -> Rows:
    """The rows without their other modalities."""
    return dataclasses.replace(
        rows,
        texts=[text if "text" in kept else None for text in rows.texts],
        images=[image if "image" in kept else None for image in rows.images],
        audios=[sound if "audio" in kept else None for sound in rows.audios],
    )


def drop_words(rows: Rows, share: float, seed: int) -> Rows:
    """Leave out so many of the words; what goes at a small share goes at a larger one."""
    generator = np.random.default_rng(seed)
    texts = [None if text is None else _thinned(text, share, generator) for text in rows.texts]
    return dataclasses.replace(rows, texts=texts)


def blur_pictures(rows: Rows, radius: float, seed: int) -> Rows:
    """Gaussian blur, its radius a share of the longer side. What is no picture stays as it is."""
    images = [None if image is None else _blurred(image, radius) for image in rows.images]
    return dataclasses.replace(rows, images=images)


def add_noise(rows: Rows, snr_db: float, seed: int) -> Rows:
    """White noise at so many decibels below the sound's own power. What is no sound stays."""
    generator = np.random.default_rng(seed)
    audios = [None if sound is None else _noisy(sound, snr_db, generator) for sound in rows.audios]
    return dataclasses.replace(rows, audios=audios)


def _thinned(text: str, share: float, generator: np.random.Generator) -> str:
    spans = [match.span() for match in WORD.finditer(text)]
    gone = generator.random(len(spans)) < share
    for (start, end), drop in zip(reversed(spans), reversed(gone), strict=True):
        if drop:
            text = text[:start] + text[end:]
    return text


def _blurred(data: bytes, radius: float) -> bytes:
    try:
        with Image.open(io.BytesIO(data)) as picture:
            rgb = picture.convert("RGB")
    except OSError:  # Pillow's word for what it cannot decode
        return data
    out = io.BytesIO()
    rgb.filter(ImageFilter.GaussianBlur(radius * max(rgb.size))).save(out, "PNG")
    return out.getvalue()


def _noisy(data: bytes, snr_db: float, generator: np.random.Generator) -> bytes:
    try:
        samples, _ = audio.decode(data)
    except audio.UnreadableAudioError:
        return data
    noise = generator.standard_normal(len(samples))
    power = float(np.square(samples).mean())
    spoilt = samples + noise * np.sqrt(power * 10 ** (-snr_db / 10))
    out = io.BytesIO()
    # Scaled down together where the sum would clip.
    soundfile.write(out, spoilt / max(1.0, float(np.abs(spoilt).max())), audio.RATE, format="FLAC")
    return out.getvalue()
