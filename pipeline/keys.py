"""Names of the store's keys. The hash tag of the partition keeps one fold in one cluster slot."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from pipeline.buckets import BucketKey

SHARDS = 4096
"""Sets that the ids of one partition and generation are spread over. A set of up to 512 integers
is an intset, 8 bytes a member: 2 million ids a partition and generation stay that small."""
DELETED_SHARDS = 64
"""The same for deletions, of which there are far fewer."""
EXEMPLAR_SECONDS = 8 * 86_400
"""How long an exemplar, and what it is entered with, outlives its last write."""
DELETED_MS = 2 * EXEMPLAR_SECONDS * 1000
"""A generation of deletions: twice as long as an exemplar is kept. The event of a post and its
deletion find each other in either order as long as there are no more than 8 days between them."""


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one partition in one namespace."""

    namespace: str
    partition: int

    def _key(self, *parts: object) -> str:
        return ":".join((self.namespace, f"{{p{self.partition}}}", *map(str, parts)))

    @property
    def position(self) -> str:
        """Hash: offset, watermark, complete_ms, reached, delay_ms, delay_at_ms and the partition's
        own counters."""
        return self._key("position")

    @property
    def shed(self) -> str:
        """Hash: offset in `shed`, and how many of its posts are counted."""
        return self._key("shed")

    @property
    def deletions(self) -> str:
        """Hash: offset in `deletions`, and how many of its records are counted."""
        return self._key("deletions")

    @property
    def changes(self) -> str:
        """Stream of "minute track" lines: which buckets a fold touched."""
        return self._key("changes")

    @property
    def tracks(self) -> str:
        """Set of track names."""
        return self._key("tracks")

    def bucket(self, key: BucketKey) -> str:
        """Hash of counters."""
        return self._key(key.level, key.start, key.track)

    def total(self, track: str) -> str:
        """Hash of counters over all time."""
        return self._key("t", track)

    def exemplars(self, track: str, minute: int) -> str:
        """Sorted set of id hashes by confidence."""
        return self._key("x", minute, track)

    def newest(self, track: str, emotion: str) -> str:
        """Sorted set of id hashes by event time."""
        return self._key("newest", emotion, track)

    @property
    def shown(self) -> str:
        """With the hash of a post id behind it the name of a hash: `j`, an exemplar as JSON, and
        `n`, how many sorted sets hold it."""
        return self._key("e", "")

    def deleted(self, generation: int, member: int) -> str:
        """Set of id hashes of deleted posts."""
        return self._key("deleted", generation, member % DELETED_SHARDS)

    def dependents(self, member: int) -> str:
        """Set of exemplars, "partition:hash", that go with a post or an author of this hash."""
        return self._key("of", member)

    def state(self, member: int) -> str:
        """Hash that says whether a post or an author is hidden."""
        return self._key("state", member)

    def seen(self, generation: int, member: int) -> str:
        """Set of id hashes."""
        return self._key("seen", generation, member % SHARDS)


def member_of(post_id: str) -> int:
    """The id as a signed 64-bit integer: 8 bytes in an intset.

    Two of 10 million ids collide with a probability of 3 in a million.
    """
    return _hash(post_id)


def author_member_of(name: str) -> int:
    """An author, likewise; it is never the number of a post."""
    return _hash(name, b"author")


def deleted_around(timestamp: int) -> tuple[int, int]:
    """The generations of deletions within half of one of this time (epoch ms)."""
    generation, into = divmod(timestamp, DELETED_MS)
    return generation, generation + (1 if 2 * into >= DELETED_MS else -1)


def version_of(post_id: str, revision: int, edited_ms: int) -> int:
    """One edited version of a post, likewise; it is never the number of a post."""
    return _hash(f"{post_id} {revision} {edited_ms}", b"version")


def _hash(text: str, kind: bytes = b"") -> int:
    data = text.encode("utf-8", "surrogatepass")
    digest = hashlib.blake2b(data, digest_size=8, person=kind).digest()
    return int.from_bytes(digest, "big", signed=True)
