import sys
from pathlib import Path

import numpy as np
import pytest

from models.errors import ModelError
from models.preprocess import words
from models.preprocess.words import Vocabulary, drop_stop_words, read_vectors, segment, words_of


def test_english_words_keep_apostrophes_marks_and_emoji() -> None:
    assert segment("I don't like #Mondays!! 😡") == [
        *("i", "don't", "like", "#", "mondays", "!", "!", "😡")
    ]


def test_chinese_is_cut_into_words_beside_english() -> None:
    assert segment("今天很开心, so happy 你好") == [
        *("今天", "很", "开心", ",", "so", "happy", "你好")
    ]


def test_stop_words_go_and_negations_stay() -> None:
    assert drop_stop_words(["the", "day", "was", "not", "good"]) == ["day", "not", "good"]
    assert words_of("我的天，不是这个") == ["我", "天", ",", "不是", "这个"]


def test_english_needs_no_jieba_and_chinese_says_that_it_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words._jieba.cache_clear()
    monkeypatch.setitem(sys.modules, "jieba", None)
    assert segment("so happy") == ["so", "happy"]
    with pytest.raises(ModelError, match="needs jieba"):
        segment("开心")
    words._jieba.cache_clear()


def test_a_vocabulary_knows_the_commonest_words() -> None:
    vocabulary = Vocabulary.learn([["b", "a"], ["a", "b"], ["a", "c"]], least=2, most=10)
    assert vocabulary.words[2:] == ("a", "b")
    assert vocabulary.ids(["b", "c", "a", "a"], longest=3).tolist() == [3, 1, 2]
    assert vocabulary.ids([], longest=3).tolist() == [1]


@pytest.mark.parametrize("header", ["", "2 3\n"])
def test_vectors_of_both_kinds_of_file(tmp_path: Path, header: str) -> None:
    file = tmp_path / "vectors.txt"
    file.write_text(f"{header}a 1 2 3\nz 0 0 1\n")
    table, found = read_vectors(file, Vocabulary(["a", "b"]))
    assert (table.shape, found) == ((4, 3), 1)
    np.testing.assert_array_equal(table[2], [1, 2, 3])
    np.testing.assert_array_equal(table[0], 0)
    assert table[3].any()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("a 1 2\nb 1\n", "line 2: 1 numbers after the word, 2 in the lines before"),
        ("a one two\n", "line 1: could not convert string to float"),
        ("", "holds no word vectors"),
    ],
)
def test_bad_vectors_are_told_in_words(tmp_path: Path, content: str, sentence: str) -> None:
    file = tmp_path / "vectors.txt"
    file.write_text(content)
    with pytest.raises(ModelError, match=sentence):
        read_vectors(file, Vocabulary(["a", "b"]))
    with pytest.raises(ModelError, match="cannot be read"):
        read_vectors(tmp_path / "none.txt", Vocabulary(["a"]))
