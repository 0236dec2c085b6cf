"""Names for authors that stand where their ids must not."""

from __future__ import annotations

import hashlib

from pipeline.event import SentimentEvent

_DID = "bluesky:at://"


def pseudonym(author: str, salt: str | None) -> str | None:
    """A salted hash of an author ("platform:native"); None where there is no salt."""
    if not salt:
        return None
    key = salt.encode()[:64]
    return hashlib.blake2b(author.encode(), key=key, digest_size=16).hexdigest()


def names_of(author: str, salt: str | None) -> tuple[str, ...]:
    """The names under which events may know an author ("platform:native")."""
    hashed = pseudonym(author, salt)
    return (author,) if hashed is None else (hashed, author)


def authors_of(event: SentimentEvent) -> tuple[str, ...]:
    """The names of those whose words an event's post has, as far as it tells them.

    An event carries no author where no salt is set; a post of Bluesky has its author in its id.
    """
    author = event.author
    if author is None and event.id.startswith(_DID):
        author = f"bluesky:{event.id.removeprefix(_DID).partition('/')[0]}"
    return tuple(name for name in (author, event.repost_author) if name is not None)
