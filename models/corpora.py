"""Labelled corpora as arrays: files in, rows with masked labels out.

The columns are `text`, `image`, `audio`, `emotions`, `polarity`, `labels`, `group`; any of them
may be missing. A null in `emotions` means that the corpus does not annotate it: NaN here. What else
they may hold stands in `models/columns.py`.
"""

import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from models.columns import (
    WrongValue,
    emotions_of,
    id_of,
    labels_of,
    media_of,
    polarity_of,
    text_of,
)
from models.errors import DataError
from models.labels import EMOTIONS, POLARITIES
from models.preprocess.cleaning import Clean, Kind, Part, Spoilt, plain
from models.row_files import SUFFIXES, Row, open_rows

__all__ = [
    "COLUMNS",
    "DataError",
    "Rows",
    "derived",
    "derived_polarity",
    "has_split",
    "join",
    "majority",
    "read_languages",
    "read_split",
    "read_texts",
    "split_file",
    "unescape",
]

Floats = npt.NDArray[np.float32]
COLUMNS = ("id", "lang", "text", "image", "audio", "emotions", "polarity", "labels", "group")
NEGATIVE = [EMOTIONS.index(name) for name in ("anger", "disgust", "fear", "sadness")]
JOY, NEUTRAL = EMOTIONS.index("joy"), EMOTIONS.index("neutral")
DERIVED_WEIGHT = 0.4  # of a polarity that follows from the emotions
ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})")
Value = TypeVar("Value")
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Found:
    """The rows of a split by our names of the columns, and where they lie."""

    place: Path
    rows: list[Row]

    def column(self, name: str, read: Callable[[Any], Value]) -> list[Value]:
        """The values of a column. Raises DataError, naming the row of one that is wrong."""
        values = []
        for number, row in enumerate(self.rows, 1):
            try:
                values.append(read(row.get(name)))
            except WrongValue as error:
                raise DataError(f"{self.place}, column {name}, row {number}: {error}") from error
        return values


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


def read_split(data: Path, name: str, split: str, clean: Clean | None = plain) -> Rows:
    """Read `<data>/<name>/<split>.parquet`, or .csv or .jsonl, or a folder of `datasets`.

    Pictures and sounds go through `clean`; what it cannot read is left out with a warning, and all
    of them are without it. Raises DataError where there is nothing, or it cannot be read.
    """
    found = _find(data / name, split)
    emotions = np.array(_annotated(found), np.float32).reshape(-1, 7)
    named = found.column("polarity", polarity_of)
    annotated = np.array([_polarity(word) for word in named], np.float32).reshape(-1, 3)
    given = ~np.isnan(annotated[:, 0])
    polarity = np.where(given[:, None], annotated, derived_polarity(emotions))
    return Rows(
        _texts(found),
        _media(found, "image", clean),
        _media(found, "audio", clean),
        emotions,
        polarity,
        np.where(given, 1.0, DERIVED_WEIGHT).astype(np.float32),
        np.ones(len(found.rows), np.float32),
        np.array([name] * len(found.rows), dtype=np.str_),
        found.column("group", id_of),
        found.column("labels", labels_of),
    )


def has_split(data: Path, name: str, split: str) -> bool:
    """Whether `read_split` would find something. Raises DataError where files are damaged."""
    from models.dataset_folders import holds  # which needs this module

    return split_file(data / name, split) is not None or holds(data / name, split)


def read_texts(data: Path, name: str, split: str) -> list[str | None]:
    """The texts of a split, as `read_split` gives them, without reading pictures and sounds."""
    path = split_file(data / name, split)
    if path is None:
        return read_split(data, name, split, None).texts
    return _texts(Found(path, open_rows(path, ("text",)).rows()))


def read_languages(data: Path, name: str, split: str) -> list[str | None] | None:
    """The language of each row; None where the corpus does not say."""
    path = split_file(data / name, split)
    if path is None:
        return None
    file = open_rows(path, ("lang",))
    return Found(path, file.rows()).column("lang", text_of) if file.columns else None


def split_file(folder: Path, split: str) -> Path | None:
    """The file of a split, where it is one file."""
    paths = (folder / f"{split}{suffix}" for suffix in SUFFIXES)
    return next((path for path in paths if path.is_file()), None)


def _find(folder: Path, split: str) -> Found:
    from models.dataset_folders import LABELS, labelled, read_records  # which need this module

    path = split_file(folder, split)
    if path is None:
        found = read_records(folder, split)
        if found is None:
            raise DataError(
                f"{folder / split}.parquet is missing: the data folder holds one folder a corpus"
            )
        return found
    file = open_rows(path, COLUMNS)
    if "emotions" not in file.columns:
        file = open_rows(path, (*COLUMNS, *EMOTIONS))
    if {"emotions", "polarity", *EMOTIONS} & set(file.columns):
        return Found(path, file.rows())
    file = open_rows(path, (*COLUMNS, *LABELS))
    return Found(path, labelled(file.rows(), file.columns, {}))


def _texts(found: Found) -> list[str | None]:
    return [unescape(text) if text else None for text in found.column("text", text_of)]


def _media(found: Found, kind: Kind, clean: Clean | None) -> list[bytes | None]:
    """The clean files, None for none and for one that cannot be read."""
    given = found.column(kind, media_of)
    places = [place for place, data in enumerate(given) if data is not None]
    cleaned: list[bytes | None] = [None] * len(given)
    if clean is None or not places:
        return cleaned
    answers = clean([Part(kind, data) for data in given if data is not None])
    spoilt: list[str] = []
    for place, answer in zip(places, answers, strict=True):
        if isinstance(answer, Spoilt):
            spoilt.append(f"row {place + 1}: {answer.reason}")
        else:
            cleaned[place] = answer.data
    if spoilt:
        log.warning(
            "%s, column %s: %d of %d cannot be read and are left out (%s)",
            *(found.place, kind, len(spoilt), len(places), spoilt[0]),
        )
    return cleaned


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


def _annotated(found: Found) -> list[list[float]]:
    """The emotions of each row: of one column, else of a column each."""
    if any("emotions" in row for row in found.rows[:1]):
        given = found.column("emotions", emotions_of)
    else:
        apart = [{name: row.get(name) for name in EMOTIONS} for row in found.rows]
        rows: list[Row] = [
            {"emotions": row} if any(v is not None for v in row.values()) else {} for row in apart
        ]
        given = Found(found.place, rows).column("emotions", emotions_of)
    labels = found.column("labels", labels_of)
    return [_emotions(*row) for row in zip(given, labels, strict=True)]


def _emotions(given: list[float] | None, labels: tuple[str, ...]) -> list[float]:
    if given is not None:
        return given
    # CPED names anger and sadness in `labels` alone; it gives one label a row.
    named = [label for label in labels if label in EMOTIONS]
    if len(named) == 1:
        return [float(name == named[0]) for name in EMOTIONS]
    return [float("nan")] * len(EMOTIONS)


def _polarity(word: str | None) -> list[float]:
    if word is None:
        return [float("nan")] * len(POLARITIES)
    return [float(name == word) for name in POLARITIES]


def unescape(text: str) -> str:
    """Some corpora hold `\\u2019` written out."""
    return ESCAPE.sub(lambda match: chr(int(match[1], 16)), text)
