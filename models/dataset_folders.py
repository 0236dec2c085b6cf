"""Folders of the Hugging Face `datasets` library, read without it.

save_to_disk: `dataset_dict.json` over a folder a split, or one split alone; in each
              `dataset_info.json`, `state.json` and Arrow streams
hub layout:   `data/train-00000-of-00001.parquet`, `data/validation-…`

Columns are taken by the names that are usual there; class names come from the features.
"""

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import soundfile

from models.corpora import DataError
from models.labels import EMOTIONS, POLARITIES
from models.preprocess.audio import RATE, UnreadableAudioError
from models.preprocess.sound_files import read_sound

Record = dict[str, Any]
SPLITS = {"train": ("train",), "dev": ("dev", "validation", "valid", "val"), "test": ("test",)}
COLUMNS = {
    "text": ("text", "sentence", "content", "tweet"),
    "image": ("image", "img", "picture"),
    "audio": ("audio", "speech", "sound"),
    "label": ("label", "labels", "emotion", "sentiment"),
}
MEANS = {
    "happy": "joy",
    "happiness": "joy",
    "sad": "sadness",
    "angry": "anger",
    "fearful": "fear",
    "scared": "fear",
    "surprised": "surprise",
    "disgusted": "disgust",
    "pos": "positive",
    "neg": "negative",
}


def read_records(folder: Path, split: str) -> list[Record] | None:
    """The rows of a split in the columns of `models/corpora.py`; None where there is no such split.

    Raises DataError where files are damaged, or media are not embedded or cannot be read.
    """
    names = SPLITS.get(split, (split,))
    tables = _saved(folder, names) or _parquet(folder, names)
    if tables is None:
        return None
    table, features, place = tables
    if {"emotions", "polarity"} & set(table.column_names):
        return [_with_media(row, place) for row in table.to_pylist()]
    return [_record(row, features, place) for row in table.to_pylist()]


def holds(folder: Path, split: str) -> bool:
    """Whether the folder has such a split.

    Raises DataError where files are damaged.
    """
    names = SPLITS.get(split, (split,))
    return _saved_in(folder, names) is not None or bool(_parquet_files(folder, names))


Found = tuple[pa.Table, dict[str, Any], Path]  # rows, features by column, where they lie


def _saved(folder: Path, names: Sequence[str]) -> Found | None:
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


def _parquet(folder: Path, names: Sequence[str]) -> Found | None:
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


def _record(row: Record, features: Mapping[str, Any], place: Path) -> Record:
    """A row in our columns: its classes become emotions or a polarity where their names do."""
    column = _column(row, "label")
    names = _class_names(features.get(column) or {}) if column else []
    given = row.get(column) if column else None
    several = [] if given is None else given if isinstance(given, list) else [given]
    labels = [names[v] if isinstance(v, int) and v < len(names) else str(v) for v in several]
    means = [_meaning(label) for label in labels]
    known = {_meaning(name) for name in names or labels}
    found: Record = {"id": row.get("id"), "group": row.get("group"), "labels": labels}
    if {"positive", "negative"} & known:
        found["emotions"] = dict.fromkeys(EMOTIONS)  # "neutral" is a polarity here
        found["polarity"] = next((name for name in means if name in POLARITIES), None)
    elif annotated := known & set(EMOTIONS):
        found["emotions"] = {
            name: float(name in means) if name in annotated else None for name in EMOTIONS
        }
    for kind in ("text", "image", "audio"):
        source = _column(row, kind)
        found[kind] = row[source] if source else None
    return _with_media(found, place)


def _column(row: Record, kind: str) -> str | None:
    return next((name for name in COLUMNS[kind] if name in row), None)


def _class_names(feature: Any) -> list[str]:
    """The names of a `ClassLabel`, alone or in a list of any kind."""
    if isinstance(feature, list):
        return _class_names(feature[0]) if feature else []
    if not isinstance(feature, dict):
        return []
    return list(feature.get("names") or _class_names(feature.get("feature")))


def _meaning(name: str) -> str:
    lowered = name.strip().lower()
    return MEANS.get(lowered, lowered)


def _with_media(row: Record, place: Path) -> Record:
    for kind in ("image", "audio"):
        media = row.get(kind)
        if media is None:
            continue
        if not isinstance(media, dict) or media.get("bytes") is None:
            raise DataError(
                f"{place} names {kind} files instead of holding them: save the set with its media"
            )
        if kind == "audio":
            row[kind] = {"bytes": _at_our_rate(media["bytes"], place)}
    return row


def _at_our_rate(data: bytes, place: Path) -> bytes:
    """As it is where it has 16 kHz, else resampled."""
    try:
        if soundfile.info(io.BytesIO(data)).samplerate == RATE:
            return data
        return read_sound(io.BytesIO(data), str(place))
    except (soundfile.SoundFileError, UnreadableAudioError) as error:
        raise DataError(f"{place}: a sound cannot be decoded: {error}") from error
