import pickle
import subprocess
import sys

import numpy as np
import pytest

from models.errors import ItemError
from models.prepare import Item, Prepared, Preparer
from tests.models.samples import flac, png


def test_one_bad_item_does_not_touch_its_neighbours(preparer: Preparer) -> None:
    items = [Item("fine"), Item(image=b"junk"), Item(audio=b"junk"), Item(image=png())]
    good, image, audio, picture = preparer.prepare(items)
    assert isinstance(good, Prepared)
    assert isinstance(picture, Prepared)
    assert isinstance(image, ItemError)
    assert image.reason.startswith("the picture cannot be decoded")
    assert isinstance(audio, ItemError)
    assert audio.reason.startswith("the sound cannot be decoded")


def test_a_damaged_part_costs_the_part(preparer: Preparer) -> None:
    items = [Item("words", image=b"junk"), Item("words", audio=b"junk"), Item(None, png(), b"junk")]
    picture, sound, both = preparer.prepare(items)
    assert isinstance(picture, Prepared)
    assert isinstance(sound, Prepared)
    assert isinstance(both, Prepared)
    parts = [list(item.damaged) for item in (picture, sound, both)]
    assert parts == [["image"], ["audio"], ["audio"]]
    assert picture.tokens is not None
    assert picture.pixels is None
    assert both.pixels is not None


def test_arrays_are_small_and_travel(preparer: Preparer) -> None:
    [item] = preparer.prepare([Item("hello world", png(), flac())])
    assert isinstance(item, Prepared)
    again = pickle.loads(pickle.dumps(item))  # noqa: S301
    assert again.tokens.dtype == np.int32
    assert again.pixels.dtype == np.uint8
    assert again.mel.dtype == np.float16
    assert again.mel.shape[0] == 80
    assert len(pickle.dumps(item)) < 200_000
    assert item.cost > len(again.tokens)


def test_no_words_is_no_text(preparer: Preparer) -> None:
    for item in preparer.prepare([Item(), Item(""), Item(" \n"), Item(None)]):
        assert isinstance(item, Prepared)
        assert item.tokens is None
        assert item.blank


@pytest.mark.parametrize(
    "text",
    [
        "https://t.co/abcdefghij",
        "RT @newsbot: https://t.co/abcdefghij",
        "转发微博",
        "\u3164",
        pytest.param("\U0001fae0 \U0001fae8", id="emoji that are not in the vocabulary"),
        pytest.param("ᚠᚢᚦ https://t.co/x", id="a script that is not, and a link"),
        pytest.param("</s>", id="the name of a special piece"),
        pytest.param("@ann " * 100 + "I am so sad", id="words past what is read"),
    ],
)
def test_a_text_of_which_no_word_is_read_is_no_text(preparer: Preparer, text: str) -> None:
    alone, pictured = preparer.prepare([Item(text), Item(text, png())])
    assert isinstance(alone, Prepared)
    assert isinstance(pictured, Prepared)
    assert alone.blank
    assert (pictured.tokens, pictured.evidence, pictured.blank) == (None, None, False)


@pytest.mark.parametrize("text", ["\U0001fae0 lol", "😀", ":)", "ᚠ ok", "666", "<s>hi</s>"])
def test_one_known_word_is_enough(preparer: Preparer, text: str) -> None:
    [item] = preparer.prepare([Item(text)])
    assert isinstance(item, Prepared)
    assert item.tokens is not None


def test_long_text_is_cut_and_says_so(preparer: Preparer) -> None:
    short, long = preparer.prepare([Item("short"), Item("word " * 500)])
    assert isinstance(short, Prepared)
    assert isinstance(long, Prepared)
    assert long.tokens is not None
    assert (short.truncated, long.truncated, len(long.tokens)) == (False, True, 128)


def test_nothing_to_prepare(preparer: Preparer) -> None:
    assert preparer.prepare([]) == []


def test_preparing_needs_no_torch() -> None:
    code = "import sys, models.prepare, models.prediction; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
