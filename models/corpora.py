"""Labelled corpora as arrays: Parquet in, rows with masked labels out.

The columns are `text`, `image`, `audio`, `emotions`, `polarity`, `labels`, `group`; any of them
may be missing. A null in `emotions` means that the corpus does not annotate it: NaN here.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from models.errors import ModelError
from models.labels import EMOTIONS, POLARITIES

Floats = npt.NDArray[np.float32]
COLUMNS = ("id", "lang", "text", "image", "audio", "emotions", "polarity", "labels", "group")
NEGATIVE = [EMOTIONS.index(name) for name in ("anger", "disgust", "fear", "sadness")]
JOY, NEUTRAL = EMOTIONS.index("joy"), EMOTIONS.index("neutral")
DERIVED_WEIGHT = 0.4  # of a polarity that follows from the emotions
ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})")


class DataError(ModelError):
    """A corpus is not where it should be."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one or several corpora.

    `emotions` `(rows, 7)` in [0, 1], NaN where not annotated; `polarity` `(rows, 3)`, each row
    summing to 1 or NaN; `polarity_weight` and `weight` `(rows,)`; `corpus` `(rows,)` names;
    `labels` the corpus's own, finer ones.
    """

    texts: list[str | None]
    images: list[bytes | None]
    audios: list[bytes | None]
    emotions: Floats
    polarity: Floats
    polarity_weight: Floats
    weight: Floats
    corpus: npt.NDArray[np.str_]
    groups: list[str | None]
    labels: list[tuple[str, ...]]

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, indices: npt.NDArray[np.int64]) -> "Rows":
        """These rows, in this order."""
        lists = (self.texts, self.images, self.audios)
        texts, images, audios = ([column[i] for i in indices] for column in lists)
        return Rows(
            texts,
            images,
            audios,
            self.emotions[indices],
            self.polarity[indices],
            self.polarity_weight[indices],
            self.weight[indices],
            self.corpus[indices],
            [self.groups[i] for i in indices],
            [self.labels[i] for i in indices],
        )


def read_split(data: Path, name: str, split: str) -> Rows:
    """Read `<data>/<name>/<split>.parquet`, or a folder of Hugging Face `datasets`.

    Raises DataError where there is neither, or it cannot be read.
    """
    records = _records(data / name, split)
    emotions = np.array([_emotions(row) for row in records], np.float32).reshape(-1, 7)
    annotated = np.array([_polarity(row) for row in records], np.float32).reshape(-1, 3)
    given = ~np.isnan(annotated[:, 0])
    polarity = np.where(given[:, None], annotated, derived_polarity(emotions))
    return Rows(
        [unescape(row["text"]) if row.get("text") else None for row in records],
        [row["image"]["bytes"] if row.get("image") else None for row in records],
        [row["audio"]["bytes"] if row.get("audio") else None for row in records],
        emotions,
        polarity,
        np.where(given, 1.0, DERIVED_WEIGHT).astype(np.float32),
        np.ones(len(records), np.float32),
        np.array([name] * len(records)),
        [row.get("group") for row in records],
        [tuple(row.get("labels") or ()) for row in records],
    )


def has_split(data: Path, name: str, split: str) -> bool:
    """Whether `read_split` would find something. Raises DataError where files are damaged."""
    from models.dataset_folders import holds  # which needs this module

    return (data / name / f"{split}.parquet").is_file() or holds(data / name, split)


def read_texts(data: Path, name: str, split: str) -> list[str | None]:
    """The texts of a split, as `read_split` gives them, without reading pictures and sounds."""
    path = data / name / f"{split}.parquet"
    if not path.is_file():
        return read_split(data, name, split).texts
    return [unescape(text) if text else None for text in _column(path, "text") or ()]


def read_languages(data: Path, name: str, split: str) -> list[str | None] | None:
    """The language of each row; None where the corpus does not say."""
    return _column(data / name / f"{split}.parquet", "lang")


def _column(path: Path, column: str) -> list[str | None] | None:
    if not path.is_file() or column not in pq.read_schema(path).names:
        return None
    values: list[str | None] = pq.read_table(path, columns=[column])[column].to_pylist()
    return values


def _records(folder: Path, split: str) -> list[dict[str, Any]]:
    from models.dataset_folders import read_records  # which needs this module

    path = folder / f"{split}.parquet"
    if path.is_file():
        columns = [column for column in COLUMNS if column in pq.read_schema(path).names]
        found: list[dict[str, Any]] = pq.read_table(path, columns=columns).to_pylist()
        return found
    other = read_records(folder, split)
    if other is None:
        raise DataError(f"{path} is missing: the data folder holds one folder a corpus")
    return other


def derived(rows: Rows, names: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Which of the emotions `names` a corpus does not give itself: neutral, where it has labels of
    its own and never that one. There it means that none of the others was given."""
    own = {label for labels in rows.labels for label in labels}
    return np.array([name == "neutral" and bool(own) and name not in own for name in names])


def join(parts: Sequence[Rows]) -> Rows:
    """Rows of several corpora, one after another."""
    return Rows(
        [text for part in parts for text in part.texts],
        [image for part in parts for image in part.images],
        [audio for part in parts for audio in part.audios],
        np.concatenate([part.emotions for part in parts]),
        np.concatenate([part.polarity for part in parts]),
        np.concatenate([part.polarity_weight for part in parts]),
        np.concatenate([part.weight for part in parts]),
        np.concatenate([part.corpus for part in parts]),
        [group for part in parts for group in part.groups],
        [labels for part in parts for labels in part.labels],
    )


def derived_polarity(emotions: Floats) -> Floats:
    """Polarity that follows from emotions, `(rows, 3)`; NaN where nothing but surprise speaks.

    Joy is positive; anger, disgust, fear and sadness are negative; neutral is neutral.
    """
    known = np.nan_to_num(emotions)
    parts = np.stack(
        [known[:, NEGATIVE].max(axis=1), known[:, NEUTRAL], known[:, JOY]], axis=1
    )  # (rows, 3) in the order of POLARITIES
    total = parts.sum(axis=1, keepdims=True)
    return np.where(total > 0, parts / np.maximum(total, 1e-9), np.nan).astype(np.float32)


def majority(emotions: Floats) -> Floats:
    """`(rows, 7)`: 1 for the most voted emotion where shares of raters sum to one; the labels as
    they are elsewhere, 0 for what is not annotated."""
    shares = np.nan_to_num(emotions)
    voted = np.abs(shares.sum(axis=1) - 1) < 1e-3
    shares[voted] = np.eye(shares.shape[1], dtype=np.float32)[shares[voted].argmax(axis=1)]
    return shares


def _emotions(row: dict[str, Any]) -> list[float]:
    struct = row.get("emotions")
    if struct is not None:
        return [float("nan") if struct[name] is None else struct[name] for name in EMOTIONS]
    # CPED names anger and sadness in `labels` alone; it gives one label a row.
    named = [label for label in row.get("labels") or () if label in EMOTIONS]
    if len(named) == 1:
        return [float(name == named[0]) for name in EMOTIONS]
    return [float("nan")] * len(EMOTIONS)


def _polarity(row: dict[str, Any]) -> list[float]:
    if row.get("polarity") is None:
        return [float("nan")] * len(POLARITIES)
    return [float(name == row["polarity"]) for name in POLARITIES]


def unescape(text: str) -> str:
    """Some corpora hold `\\u2019` written out."""
    return ESCAPE.sub(lambda match: chr(int(match[1], 16)), text)
