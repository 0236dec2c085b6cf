import pickle
import subprocess
import sys

import numpy as np

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
    assert (picture.damaged, sound.damaged, both.damaged) == (("image",), ("audio",), ("audio",))
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
        assert item.cost == 1


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
