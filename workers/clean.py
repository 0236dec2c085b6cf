"""The pipeline's cleaner for the media of files: what `predict`, `evaluate` and `train` read."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self

import soundfile
from PIL import ExifTags, Image

from models.preprocess.audio import MAX_SECONDS, RATE
from models.preprocess.cleaning import Cleaned, Part, Spoilt
from pipeline.media import MediaCleaner, MediaError, RawMedia
from pipeline.media.nothing import is_blank, is_silent

CHILDREN = 4  # at most, where there are processors for them
MAX_SIDE = 256  # pixels of a clean picture
MAX_FRAMES = MAX_SECONDS * RATE
LEAST_FRAMES = 400  # what is shorter is for the cleaner to refuse


class Cleaner:
    """A `models.preprocess.cleaning.Clean`.

    What is clean already is decoded here, which says that it is whole, and passes; all else goes
    through the children of `pipeline.media`, which start with the first that needs them.
    """

    def __init__(self) -> None:
        count = min(CHILDREN, os.cpu_count() or 1)
        self._children = [MediaCleaner() for _ in range(count)]
        self._pool = ThreadPoolExecutor(count)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for child in self._children:
            child.close()
        self._pool.shutdown()

    def __call__(self, parts: Sequence[Part]) -> list[Cleaned | Spoilt]:
        """An answer for each part, in the same order.

        Raises:
            WeathervaneError: no child can be started.
        """
        shares = [parts[place :: len(self._children)] for place in range(len(self._children))]
        answers = list(self._pool.map(_share, self._children, shares))
        return [answers[place % len(answers)][place // len(answers)] for place in range(len(parts))]


def clean(parts: Sequence[Part]) -> list[Cleaned | Spoilt]:
    """Clean once, with children that end with it. Raises as `Cleaner`."""
    with Cleaner() as cleaner:
        return cleaner(parts)


def _share(child: MediaCleaner, parts: Sequence[Part]) -> list[Cleaned | Spoilt]:
    return [Cleaned(part.data) if is_clean(part) else _through(child, part) for part in parts]


def _through(child: MediaCleaner, part: Part) -> Cleaned | Spoilt:
    [answer] = child.clean([RawMedia(part.kind, part.data)])
    if isinstance(answer, MediaError):
        return Spoilt(answer.reason)
    cut = part.kind == "audio" and soundfile.info(io.BytesIO(answer.data)).frames >= MAX_FRAMES
    return Cleaned(answer.data, cut)


def is_clean(part: Part) -> bool:
    """Whether the cleaner would change nothing that the model sees."""
    try:
        return _is_clean_picture(part.data) if part.kind == "image" else _is_clean_sound(part.data)
    except (
        OSError,
        SyntaxError,
        ValueError,
        Image.DecompressionBombError,
        soundfile.SoundFileError,
    ):
        return False


def _is_clean_picture(data: bytes) -> bool:
    """A small JPEG, upright, grey or in colour, whole, with something on it."""
    if not data.startswith(b"\xff\xd8\xff"):
        return False
    with Image.open(io.BytesIO(data), formats=["JPEG"]) as picture:
        small = max(picture.size) <= MAX_SIDE and picture.mode in ("L", "RGB")
        if not small or picture.getexif().get(ExifTags.Base.Orientation, 1) != 1:
            return False
        picture.load()
        return not is_blank(picture)


def _is_clean_sound(data: bytes) -> bool:
    """FLAC, 16 kHz, mono, 16 bits, at most 15 s, whole, with something to hear."""
    if not data.startswith(b"fLaC"):
        return False
    with soundfile.SoundFile(io.BytesIO(data)) as sound:
        if sound.samplerate != RATE or sound.channels != 1 or sound.subtype != "PCM_16":
            return False
        if not LEAST_FRAMES <= sound.frames <= MAX_FRAMES:
            return False
        samples = sound.read(dtype="int16")
        return len(samples) == sound.frames and not is_silent(samples.tobytes())
