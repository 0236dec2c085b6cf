"""Mastodon statuses, alone or as events of the streaming API (docs.joinmastodon.org).

An event is `{"event": …, "payload": …}`, the payload JSON in a text, as a WebSocket brings it, or
the object itself. Only public and unlisted statuses are posts; what was written to few is skipped.
"""

from __future__ import annotations

from typing import Any

from pipeline.errors import Unreadable
from pipeline.platforms.canonical import checked, deleted, load_object
from pipeline.platforms.reading import (
    empty_text,
    identity,
    member,
    members,
    number,
    plain,
    text,
    type_name,
)
from pipeline.post import Author, Media, MediaKind, Post
from pipeline.times import parse_time

_KINDS: dict[object, MediaKind] = {
    "image": "image",
    "gifv": "video",
    "video": "video",
    "audio": "audio",
}
_PUBLIC = ("public", "unlisted", None)
"""Servers before 2.0 and some others do not say."""


def decode(value: bytes) -> Post | None:
    """Read one status or event; None where it is no post, new, edited or deleted.

    Raises:
        Unreadable: not JSON, or a status without id, time, text and media.
    """
    data = load_object(value)
    if "event" not in data:
        return _status(data)
    event, payload = data["event"], data.get("payload")
    if event == "delete":
        name = identity(data, "payload")
        if name is None:
            raise Unreadable("no payload: the event delete names the id of a status")
        return checked(deleted(f"mastodon:{name}", "mastodon"))
    if event not in ("update", "status.update"):
        return None
    if isinstance(payload, str):
        payload = load_object(payload.encode("utf-8", "surrogatepass"))
    if not isinstance(payload, dict):
        raise Unreadable(f"the payload of {event} is {type_name(payload)}; expected a status")
    return _status(payload)


def _status(data: dict[str, Any]) -> Post | None:
    if data.get("visibility") not in _PUBLIC:
        return None
    name = identity(data, "id")
    if name is None:
        raise Unreadable("no id: not a Mastodon status (expected id, created_at, content)")
    if data.get("created_at") is None:
        raise Unreadable("no created_at; expected RFC 3339, like 2026-01-31T12:00:00Z")
    # A boost repeats a status; its own content is empty or a copy.
    boosted = member(data, "reblog")
    shown = boosted or data
    account = member(data, "account")
    author = identity(account, "id", "acct")
    edited = data.get("edited_at")
    original = _id(identity(boosted, "id"))
    return checked(
        Post(
            id=f"mastodon:{name}",
            platform="mastodon",
            author=None
            if author is None
            else Author(
                id=author,
                name=text(account, "display_name", "acct", "username"),
                followers=number(account, "followers_count"),
            ),
            created_at=parse_time(data["created_at"]),
            lang=text(shown, "language"),
            text=_text(shown),
            media=tuple(_media(shown)),
            reply_to=_id(identity(data, "in_reply_to_id")),
            repost_of=original,
            repost_author=_id(identity(member(boosted, "account"), "id", "acct")),
            deleted_with=() if original is None else (original,),
            url=text(shown, "url", "uri"),
            edited_at=parse_time(edited, "edited_at") if edited else None,
        )
    )


def _text(status: dict[str, Any]) -> str | None:
    """The content warning, which is read first, and the content."""
    parts = (text(status, "spoiler_text"), plain(text(status, "content") or ""))
    return "\n".join(part for part in parts if part) or empty_text(status, "content")


def _media(status: dict[str, Any]) -> list[Media]:
    return [
        Media(kind=kind, url=text(item, "url", "remote_url"), alt=text(item, "description"))
        for item in members(status, "media_attachments")
        if (kind := _KINDS.get(text(item, "type")))
    ]


def _id(name: str | None) -> str | None:
    return None if name is None else f"mastodon:{name}"
