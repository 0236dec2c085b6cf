"""How much the records of our topics may say: what another's program writes there stops nobody.

Where a value is out of bounds the record is refused as one that cannot be decoded. What ingest
publishes is within them: it leaves out what is optional and not.
"""

from __future__ import annotations

from typing import Annotated, Generic, Protocol, TypeVar

import msgspec
from msgspec import Meta

from pipeline.times import YEARS, AwareTime

MAX_ID_CHARACTERS = 512
MAX_LANGUAGE_CHARACTERS = 64
MAX_URL_CHARACTERS = 8_192
MAX_TRACKS = 1_000
MOST_DELETED_WITH = 64

Id = Annotated[str, Meta(min_length=1, max_length=MAX_ID_CHARACTERS)]
Language = Annotated[str, Meta(max_length=MAX_LANGUAGE_CHARACTERS)]
Platform = Annotated[str, Meta(min_length=1, max_length=32)]
Track = Annotated[str, Meta(min_length=1, max_length=64)]
Tracks = Annotated[tuple[Track, ...], Meta(max_length=MAX_TRACKS)]
DeletedWith = Annotated[tuple[Id, ...], Meta(max_length=MOST_DELETED_WITH)]
Probability = Annotated[float, Meta(ge=0, le=1)]
Weight = Annotated[float, Meta(ge=1, le=10_000)]


class _Dated(Protocol):
    @property
    def created_at(self) -> AwareTime: ...
    @property
    def tracks(self) -> Tracks: ...


T = TypeVar("T", bound=_Dated)


class Bounded(Generic[T]):
    """A JSON decoder that also refuses what types cannot say."""

    def __init__(self, kind: type[T]) -> None:
        self._decoder = msgspec.json.Decoder(kind)

    def decode(self, value: bytes) -> T:
        """Read one record.

        Raises:
            msgspec.DecodeError: it is another, or out of bounds.
        """
        record = self._decoder.decode(value)
        year = record.created_at.year
        if year not in YEARS:
            raise msgspec.ValidationError(
                f"The year {year} is out of bounds, {YEARS[0]} to {YEARS[-1]} - at `$.created_at`"
            )
        if len(record.tracks) > 1 and len(set(record.tracks)) < len(record.tracks):
            raise msgspec.ValidationError("A track is named twice - at `$.tracks`")
        if not "".join(record.tracks).isprintable():
            raise msgspec.ValidationError("A track's name is not printable - at `$.tracks`")
        return record
