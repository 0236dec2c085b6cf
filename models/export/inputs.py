"""Prepared items as the rectangles that exported graphs take. Imports no torch.

Names and shapes, `batch` being any number; a modality that an item lacks is zeros, marked as such
by its mask or length:

input_ids        int64 (batch, time)          attention_mask    int64 (batch, time)
evidence         float32 (batch, 7), where the release has n-grams; zeros without a text
pixel_values     uint8 (batch, size, size, 3) pixel_mask        int64 (batch,)
input_features   float32 (batch, 80, frames)  feature_lengths   int64 (batch,), in frames
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from models.labels import EMOTIONS, Modality
from models.prepare import Prepared, evidence_of
from models.preprocess.audio import BANDS
from models.release import Config

Inputs = dict[str, npt.NDArray[np.generic]]
NAMES: dict[Modality, tuple[str, ...]] = {
    "text": ("input_ids", "attention_mask", "evidence"),
    "image": ("pixel_values", "pixel_mask"),
    "audio": ("input_features", "feature_lengths"),
}


def collate(items: Sequence[Prepared], config: Config) -> Inputs:
    """The inputs of a batch, those of the towers that the model has.

    The time and frames of the batch are those of its longest item, at least one and two.
    """
    inputs = _texts(items)
    if config.text.ngrams:
        said = evidence_of(items)
        inputs["evidence"] = (
            np.zeros((len(items), len(EMOTIONS)), np.float32) if said is None else said
        )
    if config.image:
        inputs |= _images(items, config.image.size)
    if config.audio:
        inputs |= _sounds(items)
    return inputs


def _texts(items: Sequence[Prepared]) -> Inputs:
    found = [item.tokens if item.tokens is not None else np.zeros(0, np.int32) for item in items]
    ids = np.zeros((len(items), max([1, *map(len, found)])), np.int64)
    mask = np.zeros_like(ids)
    for row, tokens in enumerate(found):
        ids[row, : len(tokens)] = tokens
        mask[row, : len(tokens)] = 1
    return {"input_ids": ids, "attention_mask": mask}


def _images(items: Sequence[Prepared], size: int) -> Inputs:
    pixels = np.zeros((len(items), size, size, 3), np.uint8)
    mask = np.zeros(len(items), np.int64)
    for row, item in enumerate(items):
        if item.pixels is not None:
            pixels[row], mask[row] = item.pixels, 1
    return dict(zip(NAMES["image"], (pixels, mask), strict=True))


def _sounds(items: Sequence[Prepared]) -> Inputs:
    lengths = np.array([0 if i.mel is None else i.mel.shape[1] for i in items], np.int64)
    mels = np.zeros((len(items), BANDS, max([2, *lengths])), np.float32)
    for row, item in enumerate(items):
        if item.mel is not None:
            mels[row, :, : lengths[row]] = item.mel
    return dict(zip(NAMES["audio"], (mels, lengths), strict=True))
