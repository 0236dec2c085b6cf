"""Pictures to fixed-size pixel arrays."""

import io

import numpy as np
import numpy.typing as npt
from PIL import Image

FORMATS = ("JPEG", "PNG")
MAX_SIDE = 4096  # pixels; posts carry at most 256, corpora at most 224


class UnreadableImageError(ValueError):
    """The bytes are no picture that we accept; the message says why."""


def decode(data: bytes, size: int) -> npt.NDArray[np.uint8]:
    """Decode a JPEG or PNG into `(size, size, 3)` RGB, the whole picture stretched to the square.

    The picture is stretched rather than cropped: what a post shows at its edge counts too.
    Raises UnreadableImageError for anything else, for damaged data and for sides over `MAX_SIDE`.
    """
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
            if max(picture.size) > MAX_SIDE:
                raise UnreadableImageError(f"the picture is {picture.size} pixels, too large")
            rgb = picture.convert("RGB").resize((size, size), Image.Resampling.BILINEAR)
    except UnreadableImageError:
        raise
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UnreadableImageError(f"the picture cannot be decoded: {error}") from error
    return np.asarray(rgb, dtype=np.uint8)
