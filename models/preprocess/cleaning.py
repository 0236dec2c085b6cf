"""How pictures and sounds of a file of rows are made small and clean before they are read.

The commands hand in the cleaner of the pipeline, so that a row is scored, and learnt, as a
post with the same attachments would be.
"""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import soundfile

from models.preprocess.audio import RATE, UnreadableAudioError
from models.preprocess.sound_files import read_sound

Kind = Literal["image", "audio"]


class Part(NamedTuple):
    """A picture or a sound as it stands in the file."""

    kind: Kind
    data: bytes


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What `models.prepare.Item` takes. `cut`: the sound was longer."""

    data: bytes
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Spoilt:
    """Why a part cannot be read, in one plain clause."""

    reason: str


Clean = Callable[[Sequence[Part]], Sequence[Cleaned | Spoilt]]
"""An answer for each part, in the same order."""


def plain(parts: Sequence[Part]) -> list[Cleaned | Spoilt]:
    """Without a cleaner: pictures as they are, sounds at our rate; decoded in this process."""
    return [Cleaned(part.data) if part.kind == "image" else _sound(part.data) for part in parts]


def _sound(data: bytes) -> Cleaned | Spoilt:
    try:
        if soundfile.info(io.BytesIO(data)).samplerate == RATE:
            return Cleaned(data)
        return Cleaned(read_sound(io.BytesIO(data), "the sound"))
    except UnreadableAudioError as error:
        return Spoilt(str(error))
    except soundfile.SoundFileError as error:
        return Spoilt(f"the sound cannot be decoded: {getattr(error, 'error_string', error)}")
