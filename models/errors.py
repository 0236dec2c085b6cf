"""What can go wrong with a release or with one item.

ModelError
├── ReleaseError    a release folder is missing, incomplete or altered
└── DataError       rows to learn from or to score are missing or cannot be read

An item that cannot be read or scored is a value, `ItemError`, never an exception:
its neighbours in the batch are scored all the same.
"""

from dataclasses import dataclass


class ModelError(Exception):
    """Base of the errors that `models` raises."""


class DataError(ModelError):
    """Rows are missing or cannot be read; the message says which file, and which column."""


class ReleaseError(ModelError):
    """A release cannot be trusted or read; the message says which file and what to do."""


@dataclass(frozen=True, slots=True)
class ItemError:
    """Why one item has no result, in a sentence that a person understands."""

    reason: str
    exhausted: bool = False
    """Memory ran out, alone in a pass: a process that holds nothing else may have room."""
