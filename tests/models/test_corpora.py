import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import ExifTags, Image

from models.corpora import DataError, derived_polarity, read_split
from models.evaluation import labelled
from models.labels import EMOTIONS
from models.training.data import having, split_train
from models.training.recipe import Corpus
from workers.clean import clean

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


SEVEN = [0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0]
ANNOTATED: dict[str, pa.Array] = {
    "a list": pa.array([SEVEN, None]),
    "a list of fixed size": pa.array([SEVEN, None], pa.list_(pa.float32(), 7)),
    "a large list of whole numbers": pa.array(
        [[0, 0, 0, 1, 0, 0, 0], None], pa.large_list(pa.int8())
    ),
    "a struct": pa.array([emotions(joy=1.0), None]),
    "a struct by other names": pa.array([{"Happiness": True, "sad": False}, None]),
    "a map": pa.array([[("joy", 1.0)], None], pa.map_(pa.string(), pa.float64())),
    "names": pa.array([["joy"], None]),
    "JSON": pa.array(["[0, 0, 0, 1, 0, 0, 0]", None]),
    "a name": pa.array(["happy", ""]),
}


@pytest.mark.parametrize("kind", ANNOTATED)
def test_emotions_in_every_shape(tmp_path: Path, kind: str) -> None:
    (tmp_path / "c").mkdir()
    table = pa.table({"text": ["a", "b"], "emotions": ANNOTATED[kind]})
    pq.write_table(table, tmp_path / "c" / "dev.parquet")
    found = read_split(tmp_path, "c", "dev").emotions
    assert found[0, EMOTIONS.index("joy")] == 1
    assert np.nansum(found[0]) == 1
    assert np.isnan(found[1]).all()


WRONG: dict[str, tuple[dict[str, pa.Array | list[object]], str]] = {
    "unknown names": (
        {"emotions": [{"rage": 1.0, "joy": 0.0}]},
        "the column emotions names rage; known are anger, disgust",
    ),
    "too few": ({"emotions": [[0.0, 1.0]]}, "column emotions, row 1: expected 7 numbers"),
    "out of range": ({"emotions": [SEVEN, [5.0, *SEVEN[1:]]]}, "row 2: expected numbers from 0 to"),
    "a struct of texts": ({"emotions": [{"joy": "much"}]}, "the column emotions holds struct<"),
    "an unknown word": ({"emotions": ["envy"]}, "column emotions, row 1: 'envy' is none of"),
    "a polarity": ({"polarity": ["neutral", "great"]}, "column polarity, row 2: 'great' is none"),
    "a number for a polarity": ({"polarity": [1]}, "the column polarity holds int64"),
    "paths": ({"polarity": ["neutral"], "image": ["a.jpg"]}, "the column image holds string"),
    "lists for texts": ({"polarity": ["neutral"], "text": [["a"]]}, "the column text holds list<"),
    "an emotion a column": ({"joy": ["x"]}, "the column joy holds string"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_column_of_another_kind_is_named(tmp_path: Path, case: str) -> None:
    columns, sentence = WRONG[case]
    (tmp_path / "c").mkdir()
    pq.write_table(pa.table(columns), tmp_path / "c" / "dev.parquet")
    with pytest.raises(DataError, match=sentence) as refused:
        list(labelled(tmp_path, "dev"))
    assert "dev.parquet" in str(refused.value)


def test_csv_and_json_lines_are_corpora_too(tmp_path: Path) -> None:
    texts = {
        "classes/dev.csv": "Text,Label\nso good,joy\nso bad,sad\nso so,love\n",
        "columns/dev.csv": "text,joy,anger,neutral\nso good,1,0,\nso bad,0,1,\n",
        "lines/dev.jsonl": '{"text": "so good", "emotions": [0, 0, 0, 1, 0, 0, 0]}\n',
        "polarities/dev.csv": "sentence;sentiment\nso good;pos\nso bad;Negative\n",
    }
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(text)
    found = {name: rows for name, rows, _ in labelled(tmp_path, "dev")}
    assert {name: rows.texts[0] for name, rows in found.items()} == {
        "classes": "so good",
        "columns": "so good",
        "lines": "so good",
        "polarities": "so good",
    }
    joy, sadness = EMOTIONS.index("joy"), EMOTIONS.index("sadness")
    assert found["classes"].emotions[:, [joy, sadness]].tolist() == [[1, 0], [0, 1], [0, 0]]
    assert found["columns"].emotions[0, joy] == found["lines"].emotions[0, joy] == 1
    assert np.isnan(found["columns"].emotions[0, EMOTIONS.index("neutral")])
    assert found["polarities"].polarity.tolist() == [[0, 0, 1], [1, 0, 0]]


def test_media_go_through_the_cleaner_and_what_it_cannot_read_is_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As in the pipeline: upright, on white; training has the rows that are left."""
    clear = Image.new("RGBA", (40, 40), (0, 0, 0, 0))
    clear.paste((200, 30, 30, 255), (10, 10, 30, 30))
    tall = Image.effect_noise((60, 90), 60)
    note = Image.Exif()
    note[ExifTags.Base.Orientation] = 6
    rows: list[Row] = [
        {"text": "a", "image": saved(clear, "PNG"), "emotions": emotions(joy=1.0)},
        {"text": "b", "image": saved(tall, "JPEG", exif=note), "emotions": emotions(joy=1.0)},
        {"text": "c", "image": b"no picture", "emotions": emotions(joy=1.0)},
        {"text": "d", "image": None, "emotions": emotions(joy=1.0)},
        {"text": "e", "image": saved(tall, "JPEG"), "emotions": emotions(joy=1.0)},
    ]
    write(tmp_path, "c", "train", rows)
    images = read_split(tmp_path, "c", "train", clean).images
    assert [image is not None for image in images] == [True, True, False, False, True]
    assert images[4] == rows[4]["image"]
    on_white, upright = (Image.open(io.BytesIO(image)) for image in images[:2] if image)
    assert np.asarray(on_white.convert("L"))[0, 0] > 250
    assert upright.size == (90, 60)
    assert "column image: 1 of 4 cannot be read and are left out (row 3: " in caplog.text
    learnt, _ = split_train(tmp_path, [Corpus("c")], [], 0.0, 1, clean=clean)
    assert having(learnt, "image", of="c").texts == ["a", "b", "e"]
    with pytest.raises(DataError, match="c have no row with a readable audio"):
        having(learnt, "audio", of="c")
    assert read_split(tmp_path, "c", "train", None).images == [None] * 5


def saved(picture: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()
