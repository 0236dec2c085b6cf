"""The canonical Post: what ingest writes to `posts` and what every stage behind it reads."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from pipeline.bounds import Bounded, DeletedWith, Id, Language, Platform, Tracks
from pipeline.times import AwareTime

MediaKind = Literal["image", "audio", "video"]
Revision = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
"""0 as first published; of an edit the source's own number, or 1 where it has none."""


# The structs have no cycles, so the garbage collector need not walk through them: gc=False.


class Author(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Who wrote the post, as the platform names them."""

    id: str
    name: str | None = None
    followers: int | None = None


class Media(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One attachment: `bytes` (base64) where it came inline, else a `url`."""

    kind: MediaKind
    mime: str | None = None
    url: str | None = None
    data: bytes | None = msgspec.field(default=None, name="bytes")
    alt: str | None = None


class UnreadMedia(msgspec.Struct, frozen=True, gc=False):
    """An attachment that the post is scored without, and why."""

    index: int
    """Its position in the `media` of the post as published, from 0."""
    kind: MediaKind
    reason: str
    """One of a small fixed set of words, so that metrics can count by it."""


class Post(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """A social post. Only `id`, `created_at` and one of `text` or `media` are required."""

    id: Id
    """ "platform:native"."""
    created_at: AwareTime
    """Event time, UTC."""
    platform: Platform = "weathervane"
    author: Author | None = None
    lang: Language | None = None
    """BCP 47."""
    text: str | None = None
    media: tuple[Media, ...] = ()
    reply_to: str | None = None
    repost_of: Id | None = None
    repost_author: Id | None = None
    """Whose words it repeats, as "platform:native"."""
    deleted_with: DeletedWith = ()
    """Ids of posts whose deletion takes this one along: what it repeats in their words, and later
    versions of either, which are what a deletion may name."""
    url: str | None = None
    deleted: bool = False
    revision: Revision = 0
    edited_at: AwareTime | None = None
    """When this version was made. A post with a later one than `created_at` is an edit."""


class IngestedPost(Post, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """A Post as it stands in `posts`: media made small, tracks matched."""

    tracks: Tracks = ()
    unread_media: tuple[UnreadMedia, ...] = ()

    def inline(self, kind: MediaKind) -> bytes | None:
        """The bytes of the first attachment of this kind that has any."""
        return next((m.data for m in self.media if m.kind == kind and m.data), None)


posts_decoder = Bounded(IngestedPost)
encoder = msgspec.json.Encoder()
