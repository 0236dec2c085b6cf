"""Bluesky Jetstream events (github.com/bluesky-social/jetstream, wire version 1).

Only `app.bsky.feed.post` commits are posts. Likes, follows, identities and the rest come on the
same stream, twenty to one, and are told apart by a typed decode of the envelope alone. What an
account event says holds for every post of the account.
"""

from __future__ import annotations

from typing import Any

import msgspec

from pipeline.errors import UNDECODABLE, Unreadable
from pipeline.notice import Action, Notice, Subject
from pipeline.platforms.canonical import checked, deleted, load_object, noticed
from pipeline.post import Author, Media, Post
from pipeline.times import parse_time

POST = "app.bsky.feed.post"


class _Commit(msgspec.Struct):
    operation: str | None = None
    collection: str | None = None
    rkey: str | None = None
    record: msgspec.Raw = msgspec.Raw()


class _Account(msgspec.Struct):
    active: bool | None = None
    status: str | None = None


class _Envelope(msgspec.Struct):
    did: str | None = None
    time_us: int | None = None
    kind: str | None = None
    commit: _Commit | None = None
    account: _Account | None = None


_envelopes = msgspec.json.Decoder(_Envelope)


def decode(value: bytes) -> Post | Notice | None:
    """Read one Jetstream event; None where it is no post, new, edited or deleted, nor says that an
    account was deleted, is hidden (taken down, suspended, deactivated) or is there again.

    Raises:
        Unreadable: not JSON, or a post without id, time, text and media.
    """
    try:
        event = _envelopes.decode(value)
    except UNDECODABLE:
        event = _mended(value)
    if event.kind is None:
        raise Unreadable("no kind: not a Jetstream event (expected did, time_us, kind, commit)")
    if event.kind in ("account", "tombstone"):
        return _account(event)
    commit = event.commit
    if event.kind != "commit" or commit is None or commit.collection != POST:
        return None
    if not event.did or not commit.rkey:
        raise Unreadable("no id: a Bluesky post needs did and commit.rkey")
    uri = f"at://{event.did}/{POST}/{commit.rkey}"
    if commit.operation == "delete":
        return checked(deleted(f"bluesky:{uri}", "bluesky"))
    record = load_object(bytes(commit.record))
    # The author's clock may be wrong or absent; the server's time is the fallback.
    written = record.get("createdAt", event.time_us)
    if written is None:
        raise Unreadable("no commit.record.createdAt; expected RFC 3339")
    edited = commit.operation == "update"
    text = record.get("text")
    langs = record.get("langs")
    return checked(
        Post(
            id=f"bluesky:{uri}",
            platform="bluesky",
            author=Author(id=event.did),
            created_at=parse_time(written, "commit.record.createdAt"),
            lang=langs[0] if isinstance(langs, list) and langs and _text(langs[0]) else None,
            text=text if isinstance(text, str) else None,
            media=tuple(_images(event.did, record.get("embed"))),
            reply_to=_reply(record.get("reply")),
            url=f"https://bsky.app/profile/{event.did}/post/{commit.rkey}",
            revision=int(edited),
            edited_at=parse_time(event.time_us, "time_us") if edited and event.time_us else None,
        )
    )


def _account(event: _Envelope) -> Notice | None:
    account = event.account or _Account()
    gone = event.kind == "tombstone" or account.status == "deleted"
    if not event.did or (not gone and account.active is None and account.status is None):
        return None
    # What is not active is not to be shown, whatever other reason is given.
    active = account.active if account.active is not None else account.status == "active"
    action: Action = "delete" if gone and not active else "show" if active else "hide"
    return noticed(action, Subject(f"bluesky:{event.did}", "author"))


def _mended(value: bytes) -> _Envelope:
    try:
        return _envelopes.decode(msgspec.json.encode(load_object(value)))
    except UNDECODABLE as error:
        raise Unreadable(f"not a Jetstream event: {error}") from error


def _images(did: str, embed: object) -> list[Media]:
    """Pictures and videos of an embed; a quote with media holds them one level down."""
    if not isinstance(embed, dict):
        return []
    found = []
    images = embed.get("images")
    for image in images if isinstance(images, list) else []:
        blob = image.get("image") if isinstance(image, dict) else None
        if isinstance(blob, dict):
            alt = image.get("alt")
            found.append(_blob(did, "image", blob, alt if isinstance(alt, str) else None))
    if isinstance(embed.get("video"), dict):
        found.append(_blob(did, "video", embed["video"], None))
    return found or _images(did, embed.get("media"))


def _blob(did: str, kind: Any, blob: dict[str, Any], alt: str | None) -> Media:
    """A reference: blobs are named by content id, and the CDN serves pictures by did and id."""
    ref = blob.get("ref")
    cid = ref.get("$link") if isinstance(ref, dict) else None
    url = None
    if kind == "image" and _text(cid):
        url = f"https://cdn.bsky.app/img/feed_fullsize/plain/{did}/{cid}@jpeg"
    mime = blob.get("mimeType")
    return Media(kind=kind, mime=mime if isinstance(mime, str) else None, url=url, alt=alt)


def _reply(reply: object) -> str | None:
    parent = reply.get("parent") if isinstance(reply, dict) else None
    uri = parent.get("uri") if isinstance(parent, dict) else None
    return f"bluesky:{uri}" if _text(uri) else None


def _text(value: object) -> bool:
    return isinstance(value, str) and bool(value)
