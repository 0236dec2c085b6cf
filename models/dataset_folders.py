"""Folders of the Hugging Face `datasets` library, read without it.

save_to_disk: `dataset_dict.json` over a folder a split, or one split alone; in each
              `dataset_info.json`, `state.json` and Arrow streams
hub layout:   `data/train-00000-of-00001.parquet`, `data/validation-…`

Columns are taken by the names that are usual there; class names come from the features.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from models.columns import meaning
from models.corpora import Found
from models.errors import DataError
from models.labels import EMOTIONS, POLARITIES
from models.row_files import Row, check_types, to_rows

SPLITS = {"train": ("train",), "dev": ("dev", "validation", "valid", "val"), "test": ("test",)}
COLUMNS = {
    "text": ("text", "sentence", "content", "tweet"),
    "image": ("image", "img", "picture"),
    "audio": ("audio", "speech", "sound"),
    "label": ("label", "labels", "emotion", "sentiment"),
}
LABELS = tuple(name for names in COLUMNS.values() for name in names)


def read_records(folder: Path, split: str) -> Found | None:
    """The rows of a split in the columns of `models/corpora.py`; None where there is no such split.

    Raises DataError where files are damaged or columns are not of a type that we read.
    """
    names = SPLITS.get(split, (split,))
    tables = _saved(folder, names) or _parquet(folder, names)
    if tables is None:
        return None
    table, features, place = tables
    columns = table.column_names
    if {"emotions", "polarity"} & set(columns):
        check_types(place, table.schema, {name: name for name in columns})
        return Found(place, to_rows(table))
    return Found(place, labelled(to_rows(table), columns, features))


def labelled(rows: Sequence[Row], columns: Sequence[str], features: Mapping[str, Any]) -> list[Row]:
    """Rows in our columns: their classes become emotions or a polarity where their names do.

    `features` by column, as `datasets` notes them; without, the names are those in the rows.
    """
    ours = {kind: _column(columns, kind) for kind in COLUMNS}
    label = ours["label"]
    given = [_several(row.get(label)) if label else [] for row in rows]
    names = _class_names(features.get(label) or {}) if label else []
    told = [[_name(value, names) for value in values] for values in given]
    known = {meaning(name) for name in names or [name for several in told for name in several]}
    return [_record(row, labels, ours, known) for row, labels in zip(rows, told, strict=True)]


def holds(folder: Path, split: str) -> bool:
    """Whether the folder has such a split.

    Raises DataError where files are damaged.
    """
    names = SPLITS.get(split, (split,))
    return _saved_in(folder, names) is not None or bool(_parquet_files(folder, names))


Tables = tuple[pa.Table, dict[str, Any], Path]  # rows, features by column, where they lie


def _saved(folder: Path, names: Sequence[str]) -> Tables | None:
    """What `save_to_disk` wrote, of one split or of several."""
    place = _saved_in(folder, names)
    if place is None:
        return None
    state, info = (_json(place / file) for file in ("state.json", "dataset_info.json"))
    files = [place / part["filename"] for part in state["_data_files"]]
    return pa.concat_tables([_stream(file) for file in files]), info["features"], place


def _saved_in(folder: Path, names: Sequence[str]) -> Path | None:
    for name in names:
        if (folder / name / "state.json").is_file():
            return folder / name
    state = folder / "state.json"
    alone = state.is_file() and (_json(state).get("_split") or "train") in names
    return folder if alone else None


def _parquet(folder: Path, names: Sequence[str]) -> Tables | None:
    files = _parquet_files(folder, names)
    if not files:
        return None
    try:
        table = pa.concat_tables([pq.read_table(file) for file in files])
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"{files[0]} cannot be read as Parquet: {error}") from error
    noted = (table.schema.metadata or {}).get(b"huggingface", b"{}")
    return table, json.loads(noted).get("info", {}).get("features", {}), files[0]


def _parquet_files(folder: Path, names: Sequence[str]) -> list[Path]:
    for name in names:
        files = sorted(folder.glob(f"data/{name}-*.parquet"))
        files = files or sorted(folder.glob(f"{name}-*.parquet"))
        if files:
            return files
    return []


def _stream(file: Path) -> pa.Table:
    try:
        with pa.memory_map(str(file)) as source:
            return pa.ipc.open_stream(source).read_all()
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"{file} cannot be read as an Arrow stream: {error}") from error


def _json(file: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise DataError(f"{file} cannot be read: {error}") from error
    return found


def _record(row: Row, labels: list[str], ours: Mapping[str, str | None], known: set[str]) -> Row:
    means = [meaning(label) for label in labels]
    found: Row = {"id": row.get("id"), "group": row.get("group"), "labels": labels}
    if {"positive", "negative"} & known:
        found["emotions"] = dict.fromkeys(EMOTIONS)  # "neutral" is a polarity here
        found["polarity"] = next((name for name in means if name in POLARITIES), None)
    elif annotated := known & set(EMOTIONS):
        found["emotions"] = {
            name: float(name in means) if name in annotated else None for name in EMOTIONS
        }
    for kind in ("text", "image", "audio"):
        source = ours[kind]
        found[kind] = row.get(source) if source else None
    return found


def _several(value: Any) -> list[Any]:
    if value is None or value == "":
        return []
    return value if isinstance(value, list) else [value]


def _name(value: Any, names: Sequence[str]) -> str:
    return names[value] if isinstance(value, int) and 0 <= value < len(names) else str(value)


def _column(columns: Sequence[str], kind: str) -> str | None:
    return next((name for name in COLUMNS[kind] if name in columns), None)


def _class_names(feature: Any) -> list[str]:
    """The names of a `ClassLabel`, alone or in a list of any kind."""
    if isinstance(feature, list):
        return _class_names(feature[0]) if feature else []
    if not isinstance(feature, dict):
        return []
    return list(feature.get("names") or _class_names(feature.get("feature")))
