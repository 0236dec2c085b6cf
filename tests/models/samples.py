"""Small media made on the spot."""

import io

import numpy as np
import soundfile
from PIL import Image


def png(size: int = 64, seed: int = 0) -> bytes:
    """A smooth random picture."""
    noise = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).resize((size, size), Image.Resampling.BICUBIC).save(buffer, "PNG")
    return buffer.getvalue()


def flac(seconds: float = 1.5, hertz: float = 220.0, rate: int = 16_000) -> bytes:
    """A tone with overtones."""
    time = np.arange(int(seconds * rate)) / rate
    tone = sum(np.sin(2 * np.pi * hertz * k * time) / k for k in range(1, 6)) * 0.2
    buffer = io.BytesIO()
    soundfile.write(buffer, tone, rate, format="FLAC")
    return buffer.getvalue()
