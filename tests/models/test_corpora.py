from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.corpora import DataError, derived_polarity, read_split
from models.labels import EMOTIONS
from models.training.data import split_train
from models.training.recipe import Corpus

Row = dict[str, object]


def write(data: Path, name: str, split: str, rows: list[Row]) -> None:
    path = data / name / f"{split}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)


def emotions(**values: float | None) -> dict[str, float | None]:
    return {name: values.get(name, 0.0) for name in EMOTIONS}


def test_not_annotated_is_not_absent(tmp_path: Path) -> None:
    rows: list[Row] = [{"id": "1", "text": "a", "emotions": emotions(joy=1.0, disgust=None)}]
    write(tmp_path, "c", "train", rows)
    found = read_split(tmp_path, "c", "train")
    assert np.isnan(found.emotions[0]).tolist() == [name == "disgust" for name in EMOTIONS]


def test_polarity_follows_from_emotions_with_less_weight(tmp_path: Path) -> None:
    rows: list[Row] = [
        {"id": "1", "text": "a", "emotions": emotions(joy=1.0), "polarity": None},
        {"id": "2", "text": "b", "emotions": emotions(joy=1.0), "polarity": "neutral"},
        {"id": "3", "text": "c", "emotions": emotions(surprise=1.0), "polarity": None},
    ]
    write(tmp_path, "c", "train", rows)
    found = read_split(tmp_path, "c", "train")
    assert found.polarity[:2].tolist() == [[0, 0, 1], [0, 1, 0]]
    assert np.isnan(found.polarity[2]).all()
    assert found.polarity_weight[0] < found.polarity_weight[1] == 1


def test_shares_of_raters_stay_shares() -> None:
    shares = np.array([[0.2, 0, 0, 0.3, 0, 0, 0.5]], np.float32)
    np.testing.assert_allclose(derived_polarity(shares), [[0.2, 0.5, 0.3]], atol=1e-6)


def test_labels_name_an_emotion_that_the_columns_lack(tmp_path: Path) -> None:
    rows: list[Row] = [
        {"id": "1", "text": "a", "emotions": None, "labels": ["anger"]},
        {"id": "2", "text": "b", "emotions": emotions(joy=1.0), "labels": ["joy"]},
    ]
    write(tmp_path, "c", "train", rows)
    assert read_split(tmp_path, "c", "train").emotions[0, EMOTIONS.index("anger")] == 1


def test_groups_repeats_and_dev_texts_do_not_leak(tmp_path: Path) -> None:
    rows: list[Row] = [
        {"id": str(n), "text": f"post {n % 150}", "emotions": emotions(joy=1.0)} for n in range(300)
    ]
    write(tmp_path, "posts", "train", rows)
    write(tmp_path, "posts", "dev", [{"id": "d", "text": "post  7", "emotions": emotions()}])
    voices: list[Row] = [
        {"id": str(n), "group": f"actor-{n % 20}", "emotions": emotions(fear=1.0)}
        for n in range(100)
    ]
    write(tmp_path, "voices", "train", voices)
    corpora = [Corpus("posts"), Corpus("voices")]
    learnt, held = split_train(tmp_path, corpora, ["posts"], 0.3, 1)
    texts = [{text for text in part.texts if text} for part in (learnt, held)]
    groups = [{group for group in part.groups if group} for part in (learnt, held)]
    assert len(texts[0]) + len(texts[1]) == 149
    assert not texts[0] & texts[1]
    assert not groups[0] & groups[1]
    assert all(groups)
    assert "post 7" not in texts[0] | texts[1]


def test_rows_and_repeats(tmp_path: Path) -> None:
    rows: list[Row] = [
        {"id": str(n), "text": f"t{n}", "emotions": emotions(joy=1.0)} for n in range(50)
    ]
    write(tmp_path, "c", "train", rows)
    learnt, _ = split_train(tmp_path, [Corpus("c", rows=10, repeat=3)], [], 0.1, 1)
    assert len(learnt) == 30
    assert len(set(learnt.texts)) == 10


def test_a_missing_corpus_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nothing/train\.parquet is missing"):
        read_split(tmp_path, "nothing", "train")
