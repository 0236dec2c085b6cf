"""The varied pictures of each training step, made ahead of it by other processes beside a GPU."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import count

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from models.preprocess.augment import margin, vary_picture
from models.preprocess.image import decode
from models.training.loop import Indices

LOADERS = 4  # processes, where there are processors for them
Step = tuple[int, Indices]


class Pictures(Dataset[Tensor]):
    """By step and batch the pixels, `(batch, size, size, 3)` uint8, each picture varied anew.

    `small` pixels a side for the first `small_steps`. Raises ValueError for a row without picture.
    """

    def __init__(
        self, images: Sequence[bytes | None], size: int, small: int, small_steps: int, seed: int
    ) -> None:
        self._images = images
        self._size, self._small, self._small_steps = size, small, small_steps
        self._seed = seed

    def __getitem__(self, wanted: Step) -> Tensor:
        step, batch = wanted
        generator = np.random.default_rng([self._seed, 1, step])
        size = self._small if step < self._small_steps else self._size
        pixels = []
        for row in batch:
            data = self._images[row]
            if data is None:
                raise ValueError(f"row {row} has no image")
            pixels.append(vary_picture(decode(data, size + margin(size)), size, generator))
        return torch.from_numpy(np.stack(pixels))


class Ahead:
    """The pictures of one step after another, a few steps ahead. `batches`: of an epoch, by its
    number, as many in each."""

    def __init__(self, pictures: Pictures, batches: Callable[[int], list[Indices]]) -> None:
        self._pictures, self._batches = pictures, batches
        self._next = -1
        self._made: Iterator[Tensor] = iter(())

    def take(self, step: int) -> Tensor:
        """What `Pictures` gives for the batch of this step; any step, quickest in order."""
        if step != self._next:
            wanted = _Steps(self._batches, step)
            loaders = min(LOADERS, os.cpu_count() or 1)
            self._made = iter(
                DataLoader(self._pictures, batch_size=None, sampler=wanted, num_workers=loaders)
            )
        self._next = step + 1
        return next(self._made)


class _Steps(Iterable[Step]):
    """Steps with their batches from `first` on, without end."""

    def __init__(self, batches: Callable[[int], list[Indices]], first: int) -> None:
        self._batches, self._first = batches, first

    def __iter__(self) -> Iterator[Step]:
        epoch = self._batches(0)
        skipped, begun = divmod(self._first, len(epoch))
        step = self._first
        for number in count(skipped):
            for batch in self._batches(number)[begun:]:
                yield step, batch
                step += 1
            begun = 0
