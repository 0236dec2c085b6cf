"""MFCC: the slow shape of a log-mel spectrum (Davis & Mermelstein 1980)."""

import functools

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
COEFFICIENTS = 20


def mfcc(mel: npt.NDArray[np.floating], coefficients: int = COEFFICIENTS) -> Floats:
    """Log-mel spectrogram `(bands, frames)` to `(coefficients, frames)`.

    The orthonormal DCT-II of each frame, as `scipy.fft.dct(mel, axis=0, norm="ortho")` gives it,
    its first coefficients.
    """
    transformed: Floats = _basis(len(mel), coefficients) @ mel.astype(np.float32)
    return transformed


@functools.cache
def _basis(bands: int, coefficients: int) -> Floats:
    """Rows are cosines: `(coefficients, bands)`."""
    places = (np.arange(bands) + 0.5) * np.pi / bands
    basis: npt.NDArray[np.float64] = np.cos(np.arange(coefficients)[:, None] * places) * np.sqrt(
        2 / bands
    )
    basis[0] /= np.sqrt(2)
    return basis.astype(np.float32)
