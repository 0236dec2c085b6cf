"""Posts with one class each: what the classic towers and fusions learn from."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.corpora import Rows
from models.labels import EMOTIONS, MODALITIES, POLARITIES, Modality

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Posts:
    """`labels` `(posts,)` are places in `classes`. A modality that a post lacks is None.

    `images` are JPEG or PNG, `audios` FLAC or WAV of 16 kHz.
    """

    texts: list[str | None]
    images: list[bytes | None]
    audios: list[bytes | None]
    labels: Indices
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: Indices) -> "Posts":
        """These posts, in this order."""
        lists = (self.texts, self.images, self.audios)
        texts, images, audios = ([column[i] for i in indices] for column in lists)
        return Posts(texts, images, audios, self.labels[indices], self.classes)

    def column(self, modality: Modality) -> Sequence[str | bytes | None]:
        """All posts' text, picture or sound."""
        columns = (self.texts, self.images, self.audios)
        return columns[MODALITIES.index(modality)]

    @property
    def modalities(self) -> tuple[Modality, ...]:
        """Those that at least one post has."""
        return tuple(
            name for name in MODALITIES if any(item is not None for item in self.column(name))
        )


def emotion_posts(rows: Rows, names: Sequence[str] = ()) -> Posts:
    """The rows with one likeliest emotion of `names`, else of those that the rows annotate."""
    annotated = np.flatnonzero(~np.isnan(rows.emotions).all(axis=0))
    columns = [i for i, name in enumerate(EMOTIONS) if name in names] or list(annotated)
    known = np.nan_to_num(rows.emotions[:, columns])
    top = np.sort(known, axis=1)
    clear = np.flatnonzero(top[:, -1] > (top[:, -2] if top.shape[1] > 1 else 0))
    return _posts(rows, clear, known.argmax(axis=1), [EMOTIONS[i] for i in columns])


def polarity_posts(rows: Rows) -> Posts:
    """The rows whose polarity is annotated."""
    given = (rows.polarity_weight == 1.0) & ~np.isnan(rows.polarity[:, 0])
    return _posts(
        rows, np.flatnonzero(given), np.nan_to_num(rows.polarity).argmax(axis=1), POLARITIES
    )


def _posts(rows: Rows, kept: Indices, labels: Indices, names: Sequence[str]) -> Posts:
    every = Posts(rows.texts, rows.images, rows.audios, labels, tuple(names))
    return every.take(kept)
