"""Sound to log-mel spectrograms as Whisper takes them (Radford et al. 2022, section 2.2)."""

import functools
import io

import numpy as np
import numpy.typing as npt
import soundfile

RATE = 16_000  # samples a second
WINDOW = 400  # samples: 25 ms
HOP = 160  # samples: 10 ms
BANDS = 80
MAX_SECONDS = 15
SILENCE_DB = 40.0  # below the loudest frame

Floats = npt.NDArray[np.float32]


class UnreadableAudioError(ValueError):
    """The bytes are no sound that we accept; the message says why."""


def decode(data: bytes) -> tuple[Floats, bool]:
    """Decode FLAC (or WAV) at 16 kHz into mono samples in [-1, 1], and whether it was cut.

    At most `MAX_SECONDS` are read. Raises UnreadableAudioError for damaged or empty data and for
    another sample rate.
    """
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as sound:
            if sound.samplerate != RATE:
                raise UnreadableAudioError(f"the sound has {sound.samplerate} Hz, not {RATE}")
            samples = sound.read(MAX_SECONDS * RATE, dtype="float32", always_2d=True)
            cut = sound.frames > MAX_SECONDS * RATE
    except soundfile.SoundFileError as error:
        raise UnreadableAudioError(f"the sound cannot be decoded: {error}") from error
    if not samples.size:
        raise UnreadableAudioError("the sound is empty")
    mono: Floats = samples.mean(axis=1, dtype=np.float32)
    if not np.isfinite(mono).all():
        raise UnreadableAudioError("the sound holds samples that are not numbers")
    return mono, cut


def trim_silence(samples: Floats) -> Floats:
    """Drop what lies before the first and after the last frame within 40 dB of the loudest.

    Silence throughout is returned as it is.
    """
    start, end = loud_span(samples)
    return samples[start:end]


def loud_span(samples: Floats) -> tuple[int, int]:
    """First sample, and the one after the last, of what `trim_silence` keeps."""
    frames = len(samples) // HOP
    if frames < 2:
        return 0, len(samples)
    power = np.square(samples[: frames * HOP].reshape(frames, HOP)).mean(axis=1)
    loud = np.flatnonzero(power > power.max() * 10 ** (-SILENCE_DB / 10))
    if not loud.size:
        return 0, len(samples)
    return int(loud[0]) * HOP, (int(loud[-1]) + 1) * HOP


def log_mel(samples: Floats) -> npt.NDArray[np.float16]:
    """Log-mel spectrogram `(80, frames)`, one frame each 10 ms, scaled to about [-1, 1]."""
    padded = np.pad(samples, WINDOW // 2, mode="reflect" if len(samples) > WINDOW else "constant")
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    if len(windows) > 1:
        windows = windows[:-1]
    power = np.abs(np.fft.rfft(windows * _hann(), axis=1)) ** 2  # (frames, 201)
    mel = np.log10(np.maximum(power @ _filters(), 1e-10))  # (frames, 80)
    mel = np.maximum(mel, mel.max() - 8.0)
    scaled: npt.NDArray[np.float16] = ((mel + 4.0) / 4.0).T.astype(np.float16)
    return scaled


@functools.cache
def _hann() -> Floats:
    return np.hanning(WINDOW + 1)[:-1].astype(np.float32)


@functools.cache
def _filters() -> Floats:
    """Slaney's mel filter bank, area-normalised, `(201, 80)`, from 0 to 8 kHz."""
    bins = np.linspace(0, RATE / 2, WINDOW // 2 + 1)
    edges = _hertz(np.linspace(_mel(0.0), _mel(RATE / 2), BANDS + 2))
    rising = (bins[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins[:, None]) / (edges[2:] - edges[1:-1])
    bank = np.maximum(0.0, np.minimum(rising, falling)) * (2.0 / (edges[2:] - edges[:-2]))
    return bank.astype(np.float32)


def _mel(hertz: float) -> float:
    """Slaney's scale: linear to 1 kHz (15 mel), logarithmic above."""
    return hertz * 3 / 200 if hertz < 1000 else 15 + float(np.log(hertz / 1000)) * 27 / np.log(6.4)


def _hertz(mels: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.where(mels < 15, mels * 200 / 3, 1000 * np.exp(np.log(6.4) / 27 * (mels - 15)))
