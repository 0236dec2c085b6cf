"""Scoring a file of rows: one row out for each row in, in the same order."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from models.columns import WrongValue, id_of, media_of, text_of
from models.corpora import DataError, unescape
from models.errors import ItemError
from models.labels import EMOTIONS, POLARITIES
from models.prediction import Prediction
from models.predictor import Predictor
from models.prepare import Item, Prepared, Preparer
from models.preprocess.cleaning import Clean, Kind, Part, Spoilt, plain
from models.row_files import Row, RowFile, open_rows

CHUNK = 512  # rows held at a time
MEDIA_CHUNK = 64  # where they may have pictures and sounds of 10 MB each
MEDIA: tuple[Kind, ...] = ("image", "audio")
COLUMNS = ("id", "text", *MEDIA)
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        *((name, pa.float32()) for name in EMOTIONS),
        *((f"polarity_{name}", pa.float32()) for name in POLARITIES),
        ("dominant", pa.string()),
        ("labels", pa.list_(pa.string())),
        ("abstained", pa.bool_()),
        ("modalities", pa.list_(pa.string())),
        ("truncated", pa.bool_()),
        ("confidence", pa.float32()),
        ("sentiment", pa.float32()),
        ("conflict", pa.float32()),
        ("error", pa.string()),
    ]
)
UNREAD: Row = {
    **dict.fromkeys(EMOTIONS, 0.0),
    **{f"polarity_{name}": float(name == "neutral") for name in POLARITIES},
    "dominant": None,
    "labels": [],
    "abstained": True,
    "modalities": [],
    "truncated": False,
    "confidence": 0.0,
    "sentiment": 0.0,
    "conflict": 0.0,
}
"""What is said of a row of which nothing could be read: nothing."""


@dataclass(slots=True)
class Given:
    """One row on its way: what it has, and what of it could not be read, by part."""

    row_id: str | None
    text: str | None = None
    media: dict[Kind, bytes] = field(default_factory=dict)
    cut: bool = False
    wrong: dict[str, str] = field(default_factory=dict)

    @property
    def item(self) -> Item:
        """What the model is asked about."""
        return Item(self.text, self.media.get("image"), self.media.get("audio"))


def open_source(source: Path) -> RowFile:
    """A file of `id` and whichever of `text`, `image` and `audio` it has. Raises DataError."""
    file = open_rows(source, COLUMNS)
    if "id" not in file.columns:
        raise DataError(f"{source} has no column id; it has {', '.join(file.names) or 'none'}")
    return file


def score_parquet(
    release: Path,
    source: Path,
    out: Path,
    device: str = "auto",
    progress: Callable[[int], None] = lambda done: None,
    *,
    clean: Clean = plain,
) -> int:
    """Score every row of `source` into `out` by whichever of text, image and audio it has.

    Pictures and sounds go through `clean`. A part that cannot be read is named in the row's
    `error`, and the row is scored by what is left; such rows are counted and returned. `source` is
    Parquet, CSV or JSON Lines; `out` is Parquet, complete or untouched. `progress` is told the rows
    done so far.

    Raises:
        DataError: `source` cannot be read, has no `id` or a column of another kind; `out` cannot be
            written.
        ReleaseError: the release cannot be trusted or read.
    """
    file = open_source(source)
    scorer = _Scorer(Preparer.load(release), Predictor.load(release, device), clean)
    partial = out.with_name(f".{out.name}.partial")
    spoilt = done = 0
    size = MEDIA_CHUNK if set(MEDIA) & set(file.columns) else CHUNK
    try:
        with pq.ParquetWriter(partial, SCHEMA) as writer:
            for chunk in file.chunks(size):
                scored = scorer.score(chunk)
                writer.write_batch(pa.RecordBatch.from_pylist(scored, schema=SCHEMA))
                spoilt += sum(row["error"] is not None for row in scored)
                done += len(chunk)
                progress(done)
        partial.replace(out)
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else error
        raise DataError(f"{out} cannot be written: {why}") from error
    finally:
        partial.unlink(missing_ok=True)
    return spoilt


@dataclass(frozen=True, slots=True)
class _Scorer:
    preparer: Preparer
    predictor: Predictor
    clean: Clean

    def score(self, rows: Sequence[Row]) -> list[Row]:
        """The rows of the result."""
        given = [_given(row) for row in rows]
        self._clean(given)
        prepared = self._prepare(given)
        answers = iter(self.predictor.predict([item for item in prepared if item is not None]))
        return [
            _row(one, item, None if item is None else next(answers))
            for one, item in zip(given, prepared, strict=True)
        ]

    def _clean(self, given: Sequence[Given]) -> None:
        parts = [(one, Part(*part)) for one in given for part in one.media.items()]
        if not parts:
            return
        answers = self.clean([part for _, part in parts])
        for (one, part), answer in zip(parts, answers, strict=True):
            if isinstance(answer, Spoilt):
                one.wrong[part.kind] = answer.reason
                del one.media[part.kind]
            else:
                one.media[part.kind] = answer.data
                one.cut |= answer.cut

    def _prepare(self, given: Sequence[Given]) -> list[Prepared | None]:
        """None for a row of which nothing is left."""
        prepared = self.preparer.prepare([one.item for one in given])
        for one, item in zip(given, prepared, strict=True):
            if isinstance(item, ItemError):
                one.wrong |= dict.fromkeys(one.media, item.reason)
            else:
                one.wrong |= item.damaged
        return [None if isinstance(item, ItemError) else item for item in prepared]


def _given(row: Row) -> Given:
    given = Given(None)
    for name, read in _READ.items():
        try:
            value = read(row.get(name))
        except WrongValue as error:
            given.wrong[name] = str(error)
            continue
        if name == "id":
            given.row_id = value
        elif name == "text":
            given.text = unescape(value) if value else None
        elif value is not None:
            given.media[name] = value  # type: ignore[index]
    return given


_READ: dict[str, Callable[[Any], Any]] = {
    "id": id_of,
    "text": text_of,
    "image": media_of,
    "audio": media_of,
}


def _row(given: Given, item: Prepared | None, answer: Prediction | ItemError | None) -> Row:
    said = UNREAD
    if isinstance(answer, ItemError):
        given.wrong["model"] = answer.reason
    elif answer is not None and item is not None and answer.modalities:
        said = _said(answer, item.truncated or given.cut)
    error = "; ".join(f"{name}: {reason}" for name, reason in given.wrong.items()) or None
    return {"id": given.row_id, **said, "error": error}


def _said(answer: Prediction, truncated: bool) -> Row:
    return {
        **dict(zip(EMOTIONS, answer.emotions.tolist(), strict=True)),
        **{
            f"polarity_{name}": value
            for name, value in zip(POLARITIES, answer.polarity.tolist(), strict=True)
        },
        "dominant": answer.dominant,
        "labels": list(answer.labels),
        "abstained": answer.abstained,
        "modalities": list(answer.modalities),
        "truncated": truncated,
        "confidence": answer.confidence,
        "sentiment": answer.sentiment,
        "conflict": answer.conflict,
    }
