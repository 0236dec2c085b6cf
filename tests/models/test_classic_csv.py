"""Three CSV files: aligned, generous, and plain about what is wrong."""

from pathlib import Path

import numpy as np
import pytest

from models.classic.csv_files import read_csv_folder
from models.classic.plan import SuitePlan
from models.classic.posts import Posts
from models.classic.textbook import Textbook, split_posts
from models.corpora import DataError
from tests.models.classic_data import write_csv, write_folder


def test_rows_belong_together_by_id_in_any_order(tmp_path: Path) -> None:
    write_folder(tmp_path, 6)
    lines = (tmp_path / "image_data.csv").read_text().splitlines()
    (tmp_path / "image_data.csv").write_text("\n".join([lines[0], *lines[:0:-1]]) + "\n")
    posts = read_csv_folder(tmp_path)
    assert posts.classes == ("anger", "joy", "sadness")
    assert posts.labels.tolist() == [0, 1, 2, 0, 1, 2]
    assert posts.images[2] == (tmp_path / "2.png").read_bytes()
    assert posts.modalities == ("text", "image", "audio")


def test_rows_belong_together_by_number_without_ids(tmp_path: Path) -> None:
    write_folder(tmp_path, 6, ids=False)
    assert read_csv_folder(tmp_path).texts[4] == "so happy about thing 4"


def test_a_missing_file_row_or_cell_is_a_missing_modality(tmp_path: Path) -> None:
    write_folder(tmp_path, 6)
    (tmp_path / "audio_data.csv").unlink()
    text = (tmp_path / "text_data.csv").read_text().splitlines()
    (tmp_path / "text_data.csv").write_text("\n".join([*text[:2], "1,,joy", *text[4:]]) + "\n")
    posts = read_csv_folder(tmp_path)
    assert posts.modalities == ("text", "image")
    has_text = [text is not None for text in posts.texts]
    assert has_text == [True, False, True, True, True, False]  # the post of the lost row is last
    assert len(posts) == 6


def test_other_names_of_columns_and_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    rows = "\ufeffContent,Emotion\n" + "".join(f"t{n},{'ab'[n % 2]}\n" for n in range(4))
    (tmp_path / "text_data.csv").write_text(rows, encoding="utf-8")
    posts = read_csv_folder(tmp_path)
    assert (posts.texts[3], posts.classes) == ("t3", ("a", "b"))


def test_what_is_wrong_is_told_with_file_and_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds none of text_data\.csv, image_data\.csv"):
        read_csv_folder(tmp_path)
    write_folder(tmp_path, 6)
    (tmp_path / "3.png").unlink()
    with pytest.raises(DataError, match=r"image_data\.csv, line 5: there is no file .*3\.png"):
        read_csv_folder(tmp_path)
    write_folder(tmp_path, 6)
    (tmp_path / "3.flac").write_bytes(b"noise")
    with pytest.raises(DataError, match=r"audio_data\.csv, line 5: .*cannot be decoded"):
        read_csv_folder(tmp_path)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("words,label\na,b\n", "has no column text or content"),
        ("text,mood\na,b\n", "has no column label or emotion"),
        ("text,label\n", "has no rows"),
        ("text,label\na,x\nb,x\n", "has one label only"),
        ("text,label\na,\n", r"line 2: the label is empty"),
        ("id,text,label\n1,a,x\n1,b,y\n", r"line 3: the id '1' stands twice"),
    ],
)
def test_bad_files_are_refused_in_words(tmp_path: Path, content: str, sentence: str) -> None:
    (tmp_path / "text_data.csv").write_text(content)
    with pytest.raises(DataError, match=sentence):
        read_csv_folder(tmp_path)


def test_files_that_do_not_align_or_disagree_are_refused(tmp_path: Path) -> None:
    write_folder(tmp_path, 6, ids=False)
    write_csv(tmp_path / "text_data.csv", [{"text": "a", "label": "joy"}])
    with pytest.raises(DataError, match=r"do not align \(text_data\.csv 1, image_data\.csv 6"):
        read_csv_folder(tmp_path)
    (tmp_path / "image_data.csv").unlink()
    write_csv(tmp_path / "text_data.csv", [{"text": "a", "label": "joy"}] * 6)
    with pytest.raises(DataError, match=r"disagree on the label of one post: 'joy' .* 'anger'"):
        read_csv_folder(tmp_path)


def test_a_post_and_its_repeats_stay_on_one_side() -> None:
    texts: list[str | None] = [f"t{n % 40}" for n in range(100)]
    marks: list[bytes | None] = [bytes([n]) for n in range(100)]
    posts = Posts(texts, marks, marks, np.arange(100) % 2, ("a", "b"))
    split = split_posts(posts, Textbook("textbook", SuitePlan({})))
    sides = [split.learn, split.held, split.test]
    assert sum(len(side) for side in sides) == 100
    assert len(split.test) == pytest.approx(20, abs=3)
    assert all(side.images == side.audios for side in sides)
    assert not set(split.test.texts) & {*split.learn.texts, *split.held.texts}
    again = split_posts(posts, Textbook("textbook", SuitePlan({})))
    assert again.test.texts == split.test.texts
    with pytest.raises(DataError, match="3 posts are too few"):
        split_posts(posts.take(np.arange(3)), Textbook("textbook", SuitePlan({})))
