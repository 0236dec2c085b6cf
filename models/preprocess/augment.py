"""Changes that leave the label true, for training only. Randomness comes from the caller."""

import numpy as np
import numpy.typing as npt
from PIL import Image

MAX_TURN = 12.0  # degrees


def margin(size: int) -> int:
    """Pixels of play for the crop: an eighth of the side."""
    return size // 8


def vary_picture(
    pixels: npt.NDArray[np.uint8], size: int, generator: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """Turn a little, crop from `size + margin(size)` a side at random to `(size, size, 3)`, mirror,
    shift the light, and erase a small box (Zhong et al. 2017) now and then."""
    if generator.random() < 0.5:
        turn = float(generator.uniform(-MAX_TURN, MAX_TURN))
        turned = Image.fromarray(pixels).rotate(turn, Image.Resampling.BILINEAR)
        pixels = np.asarray(turned, dtype=np.uint8)
    top, left = generator.integers(0, margin(size) + 1, 2)
    crop = pixels[top : top + size, left : left + size]
    if generator.random() < 0.5:
        crop = crop[:, ::-1]
    contrast, light = generator.uniform(0.75, 1.25), generator.uniform(-25, 25)
    mean = float(crop.mean())
    lit = (crop - mean) * contrast + mean + light
    out: npt.NDArray[np.uint8] = np.clip(lit, 0, 255).astype(np.uint8)
    if generator.random() < 0.3:
        height, width = generator.integers(size // 8, size // 3, 2)
        y, x = generator.integers(0, size - height), generator.integers(0, size - width)
        out[y : y + height, x : x + width] = generator.integers(0, 256, 3)
    return out


def vary_sound(
    samples: npt.NDArray[np.float32], generator: np.random.Generator
) -> npt.NDArray[np.float32]:
    """Change speed and pitch together by up to 12%, the loudness, and add noise at 15-40 dB."""
    speed = generator.uniform(0.88, 1.12)
    places = np.arange(0, len(samples) - 1, speed)
    varied = np.interp(places, np.arange(len(samples)), samples)
    varied *= 10 ** (generator.uniform(-10, 6) / 20)
    power = float(np.square(varied).mean())
    noise = generator.normal(
        0, np.sqrt(power * 10 ** (-generator.uniform(15, 40) / 10)), len(varied)
    )
    clipped: npt.NDArray[np.float32] = np.clip(varied + noise, -1, 1).astype(np.float32)
    return clipped


def mask_spectrogram(
    mel: npt.NDArray[np.float16], generator: np.random.Generator
) -> npt.NDArray[np.float16]:
    """SpecAugment (Park et al. 2019): two bands and two spans of frames take the mean value."""
    out = mel.copy()
    bands, frames = out.shape
    fill = out.mean(dtype=np.float32)
    for _ in range(2):
        height = int(generator.integers(0, bands // 6))
        low = int(generator.integers(0, bands - height))
        out[low : low + height] = fill
        width = int(generator.integers(0, max(1, frames // 8)))
        start = int(generator.integers(0, max(1, frames - width)))
        out[:, start : start + width] = fill
    return out
