"""The posts as they lie beside this module: one gzipped JSON line each, in the order of the day."""

from __future__ import annotations

import gzip
from pathlib import Path

import msgspec

from pipeline.post import Author, Media

PATH = Path(__file__).with_name("posts.jsonl.gz")


class StoredPost(msgspec.Struct, frozen=True, omit_defaults=True):
    """A post without its date."""

    id: str
    """ "corpus/original id": where the words come from."""
    lang: str
    second: float
    """Since midnight, UTC."""
    text: str
    emotions: tuple[str, ...]
    """The corpus's own labels. They are no part of the records that are sent."""
    author: Author
    media: tuple[Media, ...] = ()
    burst: bool = False
    """Whether it belongs to the planted burst."""


_decoder = msgspec.json.Decoder(StoredPost)
_encoder = msgspec.json.Encoder()


def read() -> list[StoredPost]:
    """All posts, in the order of `second`."""
    with gzip.open(PATH, "rb") as lines:
        return [_decoder.decode(line) for line in lines]


def write(posts: list[StoredPost]) -> int:
    """Replace the file; its size in bytes. The same posts give the same bytes."""
    lines = b"".join(_encoder.encode(post) + b"\n" for post in posts)
    PATH.write_bytes(gzip.compress(lines, 9, mtime=0))
    return PATH.stat().st_size
