"""Words for the classic text towers: segmentation, stop words, vocabulary, word vectors.

Transformers cut texts into subwords themselves; these steps are for towers that read whole words.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.errors import ModelError
from models.preprocess.text import normalise

PADDING, UNKNOWN = 0, 1
CHINESE = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]+")
# A word with its apostrophe, a number, or one mark or emoji: these speak of emotions too.
WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*|\d+|[^\w\s]")

# Short on purpose: negations, intensifiers and pronouns of the first person carry emotion.
STOP_ENGLISH = (
    "a an the of to in on at by for from with as and or that this these those it its is are was "
    "were be been being am do does did has have had will would which who whom there here then "
    "than if he she his her they them their"
)
STOP_CHINESE = "的 了 着 是 在 和 与 及 或 就 也 都 而 到 对 于 把 被 给 从 这 那 个"
STOP_WORDS = frozenset(f"{STOP_ENGLISH} {STOP_CHINESE}".split())


def segment(text: str) -> list[str]:
    """Lower-case words of a normalised text, Chinese cut by jieba, marks and emoji kept.

    Raises ModelError where the text has Chinese and jieba is not installed.
    """
    words: list[str] = []
    end = 0
    lowered = text.lower()
    for run in CHINESE.finditer(lowered):
        words += WORD.findall(lowered[end : run.start()])
        words += _jieba().lcut(run[0])
        end = run.end()
    return words + WORD.findall(lowered[end:])


def drop_stop_words(words: Iterable[str]) -> list[str]:
    """The words that are no stop words, in order."""
    return [word for word in words if word not in STOP_WORDS]


def words_of(text: str) -> list[str]:
    """Normalise, segment and drop stop words."""
    return drop_stop_words(segment(normalise(text)))


class Vocabulary:
    """The words that a tower knows, by id; 0 is padding, 1 any other word."""

    def __init__(self, words: Sequence[str]) -> None:
        self.words = ("<padding>", "<unknown>", *words)
        self._ids = {word: index for index, word in enumerate(self.words)}

    @classmethod
    def learn(
        cls, texts: Iterable[Sequence[str]], least: int = 2, most: int = 20_000
    ) -> "Vocabulary":
        """The commonest words that occur `least` times; ties go by the alphabet."""
        counts = Counter(word for words in texts for word in words)
        often = [word for word, count in counts.items() if count >= least]
        return cls(sorted(often, key=lambda word: (-counts[word], word))[:most])

    def __len__(self) -> int:
        return len(self.words)

    def ids(self, words: Sequence[str], longest: int) -> npt.NDArray[np.int64]:
        """Ids of the first `longest` words, `(words,)`; one unknown word for none at all."""
        found = [self._ids.get(word, UNKNOWN) for word in words[:longest]]
        return np.array(found or [UNKNOWN], np.int64)


def read_vectors(path: Path, vocabulary: Vocabulary) -> tuple[npt.NDArray[np.float32], int]:
    """Word vectors from a word2vec or GloVe text file, `(words, width)`, and how many were there.

    A word that the file lacks gets a random vector of the file's spread; padding is zero.
    Raises ModelError where the file cannot be read or a line is not a word and its numbers.
    """
    found: dict[int, npt.NDArray[np.float32]] = {}
    wanted = {word: index for index, word in enumerate(vocabulary.words) if index > UNKNOWN}
    width = 0
    try:
        with path.open(encoding="utf-8", errors="replace") as lines:
            for number, line in enumerate(lines, start=1):
                word, *values = line.rstrip().split(" ")
                if number == 1 and len(values) == 1:
                    continue  # the header of word2vec: how many words, how wide
                width = width or len(values)
                if len(values) != width:
                    raise ModelError(
                        f"{path}, line {number}: {len(values)} numbers after the word, "
                        f"{width} in the lines before"
                    )
                if word in wanted:
                    found[wanted[word]] = np.array(values, np.float32)
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ModelError(f"{path}, line {number}: {error}") from error
    if not width:
        raise ModelError(f"{path} holds no word vectors")
    spread = float(np.std(list(found.values()))) if found else 0.3
    table = np.random.default_rng(0).normal(0, spread, (len(vocabulary), width))
    for index, vector in found.items():
        table[index] = vector
    table[PADDING] = 0
    return table.astype(np.float32), len(found)


@cache
def _jieba() -> Any:
    try:
        import jieba
    except ImportError as error:
        raise ModelError(
            "Chinese text needs jieba to be cut into words: pip install jieba"
        ) from error
    jieba.setLogLevel("WARNING")
    return jieba
