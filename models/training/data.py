"""Which rows are learnt from and which are held out."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from models.corpora import DataError, Rows, has_split, join, read_split, read_texts
from models.preprocess.cleaning import Clean, Kind, plain
from models.preprocess.text import normalise
from models.training.recipe import Corpus


def split_train(
    data: Path,
    corpora: Sequence[Corpus],
    dev: Sequence[str],
    share: float,
    seed: int,
    *,
    auxiliary: Sequence[str] = (),
    clean: Clean | None = plain,
) -> tuple[Rows, Rows]:
    """Read the train splits as (rows to learn from, rows held out for calibration).

    A row's side follows from a hash of its group, else its text, else its place, so that repeats
    and speakers stay on one side. Texts that also stand in a `dev` split are left out of both:
    SemEval-2018 and TweetEval, for one, share tweets. `rows` and `repeat` apply to what is learnt.
    Rows with neither emotions nor polarity are of use in `auxiliary` corpora alone. Pictures and
    sounds go through `clean`, and are left out without it.
    """
    seen = _dev_texts(data, dev)
    learnt: list[Rows] = []
    held: list[Rows] = []
    for number, corpus in enumerate(corpora):
        rows = read_split(data, corpus.name, "train", clean)
        keys = [_side(rows, index) for index in range(len(rows))]
        useful = ~np.isnan(rows.emotions).all(axis=1) | ~np.isnan(rows.polarity[:, 0])
        useful |= corpus.name in auxiliary
        fresh = np.array([not text or normalise(text) not in seen for text in rows.texts])
        side = np.array(keys) < (share if corpus.held_out is None else corpus.held_out)
        learn = np.flatnonzero(useful & fresh & ~side)
        if corpus.rows and corpus.rows < len(learn):
            order = np.random.default_rng([seed, number]).permutation(len(learn))
            learn = np.sort(learn[order[: corpus.rows]])
        rows.weight[:] = corpus.weight
        learnt.append(rows.take(np.tile(learn, corpus.repeat)))
        held.append(rows.take(np.flatnonzero(useful & fresh & side)))
    return join(learnt), join(held)


def having(rows: Rows, kind: Kind, *, of: str = "") -> Rows:
    """The rows with a picture, or with a sound. Raises DataError for none `of` these corpora."""
    column = rows.images if kind == "image" else rows.audios
    kept = np.flatnonzero([data is not None for data in column])
    if of and not len(kept):
        raise DataError(f"{of} have no row with a readable {kind}")
    return rows if len(kept) == len(rows) else rows.take(kept)


def plain_texts(data: Path, corpora: Sequence[str], dev: Sequence[str]) -> list[str]:
    """The texts of these train splits, each once, none that stands in a `dev` split."""
    seen = _dev_texts(data, dev)
    found: dict[str, str] = {}
    for name in corpora:
        for text in read_texts(data, name, "train"):
            if text and normalise(text) not in seen:
                found.setdefault(normalise(text), text)
    return list(found.values())


def _side(rows: Rows, index: int) -> float:
    """A number in [0, 1) that is the same for all rows of a group."""
    text = rows.texts[index]
    key = f"{rows.corpus[index]}/{rows.groups[index]}" if rows.groups[index] else ""
    key = key or (normalise(text) if text else f"{rows.corpus[index]}#{index}")
    digest = hashlib.blake2b(key.encode(errors="replace"), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64


def _dev_texts(data: Path, names: Sequence[str]) -> set[str]:
    seen: set[str] = set()
    for name in names:
        if has_split(data, name, "dev"):
            seen.update(normalise(text) for text in read_texts(data, name, "dev") if text)
    return seen
