"""Batches of what readers read, and the files that a suite leaves."""

import csv
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from models.classic.fitting import Bools
from models.classic.posts import Indices, Posts
from models.classic.readers import Array, Reader
from models.training.recipe import RecipeError

Readers = Mapping[str, Reader]  # by modality
Arrays = Mapping[str, Sequence[Array | None]]  # by modality, one entry a post
LOG_COLUMNS = ("model", "epoch", "loss", "held_out_loss", "held_out_accuracy")


def tensors(
    readers: Readers,
    arrays: Arrays,
    chosen: Indices,
    random: np.random.Generator | None = None,
    kept: Bools | None = None,
) -> dict[str, list[Tensor | None]]:
    """These posts as towers read them, varied where there is a `random`.

    Where `kept` `(batch, modalities)` is False nothing is given.
    """
    batch: dict[str, list[Tensor | None]] = {}
    for column, (name, reader) in enumerate(readers.items()):
        given = [
            arrays[name][index] if kept is None or kept[row, column] else None
            for row, index in enumerate(chosen)
        ]
        batch[name] = [None if a is None else reader.tensor(a, random) for a in given]
    return batch


def present(arrays: Arrays) -> Bools:
    """Which post has which modality, `(posts, modalities)`."""
    return np.array([[item is not None for item in column] for column in arrays.values()]).T


def mark_posts(folder: Path, parts: Sequence[Posts]) -> None:
    """Note in a folder which posts its models learn and are scored on.

    Raises RecipeError where others are noted: what is finished there would not be comparable.
    """
    digest = hashlib.blake2b(digest_size=16)
    for posts in parts:
        digest.update(posts.labels.tobytes() + "\0".join(t or "" for t in posts.texts).encode())
        sizes = [len(data or b"") for column in (posts.images, posts.audios) for data in column]
        digest.update(np.array(sizes, np.int64).tobytes())
    note = folder / "posts.blake2b"
    if note.is_file() and note.read_text(encoding="ascii") != digest.hexdigest():
        raise RecipeError(f"{folder} holds a run on other posts: name another folder")
    folder.mkdir(parents=True, exist_ok=True)
    note.write_text(digest.hexdigest(), encoding="ascii")


def append_log(file: Path, lines: Sequence[Sequence[object]]) -> None:
    """Lines of `LOG_COLUMNS`, under these names where the file is new."""
    fresh = not file.is_file()
    with file.open("a", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        if fresh:
            writer.writerow(LOG_COLUMNS)
        writer.writerows(lines)
