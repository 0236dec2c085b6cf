"""Folders as the Hugging Face `datasets` library writes them, made here with pyarrow alone."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.corpora import DataError, read_split
from models.evaluation import labelled
from models.labels import EMOTIONS
from models.preprocess.audio import decode
from models.training.data import split_train
from models.training.recipe import Corpus
from tests.models.samples import flac, png

LABEL = {"label": {"names": ["sad", "joy", "love"], "_type": "ClassLabel"}}
MEDIA = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def save(folder: Path, rows: list[dict[str, Any]], features: Any, split: str | None = None) -> None:
    """The layout of `Dataset.save_to_disk`, in two streams."""
    folder.mkdir(parents=True)
    table = _table(rows)
    files = [f"data-0000{part}-of-00002.arrow" for part in range(2)]
    middle = len(rows) // 2
    for name, part in zip(files, (table[:middle], table[middle:]), strict=True):
        with (
            pa.OSFile(str(folder / name), "wb") as file,
            pa.ipc.new_stream(file, table.schema) as w,
        ):
            w.write_table(part)
    state = {"_data_files": [{"filename": name} for name in files], "_split": split}
    (folder / "state.json").write_text(json.dumps(state))
    (folder / "dataset_info.json").write_text(json.dumps({"features": features}))


def _table(rows: list[dict[str, Any]]) -> pa.Table:
    table = pa.Table.from_pylist(rows)
    for column in {"image", "audio"} & set(table.column_names):
        place = table.schema.get_field_index(column)
        table = table.set_column(place, column, table[column].cast(MEDIA))
    return table


def columns(emotions: np.ndarray) -> dict[str, float]:
    return {n: float(v) for n, v in zip(EMOTIONS, emotions, strict=True) if not np.isnan(v)}


def test_a_dictionary_of_splits(tmp_path: Path) -> None:
    rows = [{"text": f"t{n}", "label": n % 3} for n in range(5)]
    save(tmp_path / "set" / "train", rows, LABEL)
    save(tmp_path / "set" / "validation", rows[:3], LABEL)
    (tmp_path / "set" / "dataset_dict.json").write_text('{"splits": ["train", "validation"]}')
    found = read_split(tmp_path, "set", "train")
    assert found.texts == ["t0", "t1", "t2", "t3", "t4"]
    assert columns(found.emotions[0]) == {"sadness": 1.0, "joy": 0.0}
    assert columns(found.emotions[2]) == {"sadness": 0.0, "joy": 0.0}
    assert found.labels[2] == ("love",)
    assert len(read_split(tmp_path, "set", "dev")) == 3
    with pytest.raises(DataError, match=r"test\.parquet is missing"):
        read_split(tmp_path, "set", "test")


def test_its_dev_split_is_evaluated_and_never_learnt(tmp_path: Path) -> None:
    rows = [{"text": f"t{n}", "label": n % 2} for n in range(6)]
    save(tmp_path / "set" / "train", rows, LABEL)
    save(tmp_path / "set" / "validation", rows[:2], LABEL)
    (tmp_path / "notes").mkdir()
    ((name, found, languages),) = labelled(tmp_path, "dev")
    assert name == "set"
    assert found.texts == ["t0", "t1"]
    assert languages == [None, None]
    assert list(labelled(tmp_path, "test")) == []
    learnt, held = split_train(tmp_path, [Corpus("set")], ["set"], 0.5, 1)
    texts = [*learnt.texts, *held.texts]
    assert sorted(filter(None, texts)) == ["t2", "t3", "t4", "t5"]


def test_one_split_alone_and_polarities(tmp_path: Path) -> None:
    features = {"label": {"names": ["neg", "neutral", "pos"], "_type": "ClassLabel"}}
    save(tmp_path / "set", [{"sentence": "a", "label": 2}, {"sentence": "b", "label": 1}], features)
    found = read_split(tmp_path, "set", "train")
    assert found.polarity.tolist() == [[0, 0, 1], [0, 1, 0]]
    assert (found.polarity_weight == 1).all()
    assert np.isnan(found.emotions).all()
    with pytest.raises(DataError, match="is missing"):
        read_split(tmp_path, "set", "dev")


def test_parquet_of_the_hub_with_several_labels_and_media(tmp_path: Path) -> None:
    features = {
        "labels": {"feature": {"names": ["anger", "fear"], "_type": "ClassLabel"}, "_type": "List"}
    }
    rows: list[dict[str, Any]] = [
        {
            "text": "a",
            "labels": [0, 1],
            "image": {"bytes": png(8), "path": None},
            "audio": {"bytes": flac(0.5, rate=22_050), "path": "a.flac"},
        },
        {"text": "b", "labels": [], "image": None, "audio": None},
    ]
    noted = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    table = _table(rows).replace_schema_metadata(noted)
    (tmp_path / "set" / "data").mkdir(parents=True)
    pq.write_table(table, tmp_path / "set" / "data" / "train-00000-of-00001.parquet")
    found = read_split(tmp_path, "set", "train")
    assert columns(found.emotions[0]) == {"anger": 1.0, "fear": 1.0}
    assert columns(found.emotions[1]) == {"anger": 0.0, "fear": 0.0}
    assert found.images == [png(8), None]
    assert found.audios[0] is not None
    assert abs(len(decode(found.audios[0])[0]) - 8000) < 40


def test_our_own_columns_pass_through(tmp_path: Path) -> None:
    emotions = {name: float(name == "joy") for name in EMOTIONS}
    save(tmp_path / "set", [{"text": "a", "emotions": emotions, "group": "g"}] * 2, {}, "train")
    found = read_split(tmp_path, "set", "train")
    assert columns(found.emotions[0]) == emotions
    assert found.groups == ["g", "g"]


def test_what_cannot_be_read_is_told_in_words(tmp_path: Path) -> None:
    row = {"label": 0, "image": {"bytes": None, "path": "/a.png"}}
    save(tmp_path / "paths", [row, row], LABEL)
    with pytest.raises(DataError, match="save the set with its media"):
        read_split(tmp_path, "paths", "train")
    save(tmp_path / "broken", [{"text": "a", "label": 0}] * 2, LABEL)
    (tmp_path / "broken" / "data-00000-of-00002.arrow").write_bytes(b"no arrow")
    with pytest.raises(DataError, match="cannot be read as an Arrow stream"):
        read_split(tmp_path, "broken", "train")
