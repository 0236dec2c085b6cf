"""State of many series as arrays, of which series can be added, removed, saved and loaded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Rows = npt.NDArray[np.int64] | npt.NDArray[np.bool_] | slice


class State:
    """What a class remembers of its series.

    Every attribute that is an array holds one entry a series along its last axis; every attribute
    that is a State belongs to it; all others are settings, the same for all series.
    """

    def fields(self) -> Iterator[tuple[State, str, Array]]:
        """The arrays of this state and its parts with their owner and name, in a fixed order."""
        for name, value in vars(self).items():
            if isinstance(value, np.ndarray):
                yield self, name, value
            elif isinstance(value, State):
                yield from value.fields()

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return sum(array.nbytes for _, _, array in self.fields())

    def keep(self, rows: Rows) -> None:
        """Drop all series but those of `rows` (places, flags or a slice), in that order."""
        for owner, name, array in list(self.fields()):
            setattr(owner, name, np.ascontiguousarray(array[..., rows]))

    def append(self, other: Self) -> None:
        """Put the series of `other`, a state of the same class and settings, behind these."""
        pairs = list(zip(self.fields(), other.fields(), strict=True))
        for (owner, name, mine), (_, _, theirs) in pairs:
            setattr(owner, name, np.concatenate([mine, theirs], axis=-1))

    def pack(self, rows: Rows) -> bytes:
        """The arrays' bytes for `rows`, one array behind the other."""
        return b"".join(array[..., rows].tobytes() for _, _, array in self.fields())

    def unpack(self, data: memoryview) -> None:
        """Take over what `pack` gave for as many series.

        Raises:
            ValueError: when the bytes are too few or too many.
        """
        if len(data) != self.nbytes:
            raise ValueError(f"the state of these series has {self.nbytes} bytes, not {len(data)}")
        for owner, name, array in list(self.fields()):
            taken = np.frombuffer(data[: array.nbytes], array.dtype).reshape(array.shape)
            setattr(owner, name, taken.copy())
            data = data[array.nbytes :]
