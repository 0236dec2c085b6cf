"""Sound files of any common kind and rate, for training on one's own data.

Posts never come this way: their media is decoded at the edge, in a process of its own.
"""

import io
from pathlib import Path

import av
import numpy as np
import soundfile

from models.preprocess.audio import MAX_SECONDS, RATE, Floats, UnreadableAudioError


def read_sound(source: Path | io.BytesIO, name: str = "") -> bytes:
    """WAV, FLAC, Ogg or MP3 as FLAC of 16 kHz, mono, at most 15 s.

    Raises UnreadableAudioError, which says `name` or the path, where it cannot be decoded or is
    empty.
    """
    name = name or str(source)
    try:
        with soundfile.SoundFile(source) as sound:
            rate = sound.samplerate
            samples = sound.read(MAX_SECONDS * rate, dtype="float32", always_2d=True)
    except soundfile.SoundFileError as error:
        raise UnreadableAudioError(f"{name} cannot be decoded: {error}") from error
    if not samples.size:
        raise UnreadableAudioError(f"{name} is empty")
    buffer = io.BytesIO()
    soundfile.write(buffer, resample(samples.mean(axis=1), rate), RATE, format="FLAC")
    return buffer.getvalue()


def resample(samples: Floats, rate: int) -> Floats:
    """Mono samples of any rate at 16 kHz, low-passed first where that is lower."""
    if rate == RATE:
        return samples
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[None]), "flt", "mono")
    frame.sample_rate = rate
    resampler = av.AudioResampler("flt", "mono", RATE)
    parts = [*resampler.resample(frame), *resampler.resample(None)]
    joined: Floats = np.concatenate([part.to_ndarray()[0] for part in parts])
    return joined
