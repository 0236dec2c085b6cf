"""Scoring a Parquet file: one row out for each row in, in the same order."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from models.corpora import DataError, unescape
from models.errors import ItemError
from models.labels import EMOTIONS, POLARITIES
from models.prediction import Prediction, nothing_read
from models.predictor import Predictor
from models.prepare import Item, Prepared, Preparer

CHUNK = 512  # rows held at a time
COLUMNS = ("id", "text", "image", "audio")
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        *((name, pa.float32()) for name in EMOTIONS),
        *((f"polarity_{name}", pa.float32()) for name in POLARITIES),
        ("dominant", pa.string()),
        ("labels", pa.list_(pa.string())),
        ("abstained", pa.bool_()),
    ]
)


def score_parquet(
    release: Path,
    source: Path,
    out: Path,
    device: str = "auto",
    progress: Callable[[int], None] = lambda done: None,
) -> int:
    """Score every row of `source` by whichever of text, image and audio it has; the unreadable.

    Of a row of which something cannot be read nothing is claimed: no dominant emotion, abstained.
    Those are what is counted and returned. `progress` is told the rows done so far. `out` is
    complete or untouched.

    Raises:
        DataError: `source` is no Parquet file, or has no `id`; `out` cannot be written.
        ReleaseError: the release cannot be trusted or read.
    """
    file, columns = _open(source)
    model = Preparer.load(release), Predictor.load(release, device)
    partial = out.with_name(f".{out.name}.partial")
    unreadable = done = 0
    try:
        with pq.ParquetWriter(partial, SCHEMA) as writer:
            for chunk in _chunks(file, columns, source):
                scored, failed = _scored(chunk, *model)
                writer.write_batch(scored)
                unreadable += failed
                done += len(chunk)
                progress(done)
        partial.replace(out)
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else error
        raise DataError(f"{out} cannot be written: {why}") from error
    finally:
        partial.unlink(missing_ok=True)
    return unreadable


def _open(source: Path) -> tuple[pq.ParquetFile, list[str]]:
    try:
        file = pq.ParquetFile(source)
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"{source} cannot be read as Parquet: {error}") from error
    columns = [name for name in COLUMNS if name in file.schema_arrow.names]
    if "id" not in columns:
        raise DataError(f"{source} has no column id; it has {', '.join(file.schema_arrow.names)}")
    return file, columns


def _chunks(file: pq.ParquetFile, columns: list[str], source: Path) -> Iterator[pa.RecordBatch]:
    """The rows, some at a time. Raises DataError where the file is damaged further on."""
    try:
        yield from file.iter_batches(CHUNK, columns=columns)
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"{source} cannot be read to its end: {error}") from error


def _scored(
    chunk: pa.RecordBatch, preparer: Preparer, predictor: Predictor
) -> tuple[pa.RecordBatch, int]:
    """The rows of the result, and how many of them could not be read."""
    rows = chunk.to_pylist()
    answers, failed = _score([_item(row) for row in rows], preparer, predictor)
    table = [_row(row["id"], answer) for row, answer in zip(rows, answers, strict=True)]
    return pa.RecordBatch.from_pylist(table, schema=SCHEMA), failed


def _item(row: dict[str, Any]) -> Item:
    text = row.get("text")
    return Item(
        unescape(text) if text else None, _bytes(row.get("image")), _bytes(row.get("audio"))
    )


def _bytes(value: dict[str, Any] | bytes | None) -> bytes | None:
    """The file in a column: bytes, or the struct `{bytes, path}` of Hugging Face `datasets`."""
    return value.get("bytes") if isinstance(value, dict) else value


def _score(
    items: list[Item], preparer: Preparer, predictor: Predictor
) -> tuple[list[Prediction], int]:
    prepared = preparer.prepare(items)
    ready = [Prepared() if isinstance(item, ItemError) else item for item in prepared]
    answers = predictor.predict(ready)
    failed = [
        index
        for index, (item, answer) in enumerate(zip(prepared, answers, strict=True))
        if isinstance(item, ItemError) or isinstance(answer, ItemError)
    ]
    kept = [nothing_read() if isinstance(answer, ItemError) else answer for answer in answers]
    return kept, len(failed)


def _row(row_id: str, answer: Prediction) -> dict[str, Any]:
    return {
        "id": row_id,
        **dict(zip(EMOTIONS, answer.emotions.tolist(), strict=True)),
        **{
            f"polarity_{name}": value
            for name, value in zip(POLARITIES, answer.polarity.tolist(), strict=True)
        },
        "dominant": answer.dominant,
        "labels": list(answer.labels),
        "abstained": answer.abstained,
    }
