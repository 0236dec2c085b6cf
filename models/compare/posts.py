"""The posts of each task: what is learnt from, held out and scored."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from models.classic.posts import Indices, Posts, emotion_posts, polarity_posts
from models.classic.suite import Split
from models.compare.recipe import ComparedTask
from models.corpora import DataError, Rows, read_split
from models.labels import MODALITIES
from models.preprocess.cleaning import Clean, plain
from models.training.data import split_train


def read_task(data: Path, task: ComparedTask, seed: int, clean: Clean = plain) -> Split:
    """Read one task. A corpus's dev split is what is scored; no text of it is learnt.

    Raises DataError where a corpus is missing, or those of composites share too few classes.
    """
    parts = [_corpus(data, task, index, seed, clean) for index in range(len(task.corpus))]
    if not task.composites:
        return parts[0]
    sides = [[getattr(part, side) for part in parts] for side in ("learn", "held", "test")]
    every = [posts for side in sides for posts in side]
    shared = [n for n in parts[0].learn.classes if all(len(_of(posts, n)) for posts in every)]
    if len(shared) < 2:
        raise DataError(f"the corpora of {task.name} share too few classes to join posts of them")
    counts = (task.composites, max(1, task.composites // 8), task.dev_composites)
    return Split(
        *(
            _composites(side, shared, count, [seed, number])
            for number, (side, count) in enumerate(zip(sides, counts, strict=True))
        )
    )


def _corpus(data: Path, task: ComparedTask, index: int, seed: int, clean: Clean) -> Split:
    corpus = task.corpus[index]
    learn, held = split_train(data, [corpus], [corpus.name], task.held_out, seed, clean=clean)
    test = read_split(data, corpus.name, "dev", clean)
    if 0 < task.dev_rows < len(test):
        order = np.random.default_rng(seed).permutation(len(test))
        test = test.take(np.sort(order[: task.dev_rows]))
    first = _posts(learn, task)
    sides = [first, *(_posts(rows, task, first.classes) for rows in (held, test))]
    if task.composites:
        sides = [_only(side, MODALITIES[index]) for side in sides]
    elif task.modalities:
        sides = [_only(side, *task.modalities) for side in sides]
    return Split(*sides)


def _posts(rows: Rows, task: ComparedTask, names: Sequence[str] = ()) -> Posts:
    return polarity_posts(rows) if task.label == "polarity" else emotion_posts(rows, names)


def _only(posts: Posts, *modalities: str) -> Posts:
    """The same posts with nothing but these modalities."""
    n = len(posts)
    return replace(
        posts,
        texts=posts.texts if "text" in modalities else [None] * n,
        images=posts.images if "image" in modalities else [None] * n,
        audios=posts.audios if "audio" in modalities else [None] * n,
    )


def _composites(
    parts: Sequence[Posts], names: Sequence[str], count: int, seed: Sequence[int]
) -> Posts:
    """`count` posts a class, each of a text, a face and a voice of that class, drawn at random."""
    random = np.random.default_rng(seed)
    texts, images, audios = (
        part.take(np.concatenate([_draw(_of(part, name), count, random) for name in names]))
        for part in parts
    )
    labels = np.repeat(np.arange(len(names)), count)
    return Posts(texts.texts, images.images, audios.audios, labels, tuple(names))


def _of(posts: Posts, name: str) -> Indices:
    """The posts of one class."""
    if name not in posts.classes:
        return np.zeros(0, np.int64)
    return np.flatnonzero(posts.labels == posts.classes.index(name))


def _draw(pool: Indices, count: int, random: np.random.Generator) -> Indices:
    """Each once before any twice."""
    rounds = [random.permutation(pool) for _ in range(-(-count // len(pool)))]
    return np.concatenate(rounds)[:count]
