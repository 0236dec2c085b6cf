"""Canonical posts, as `posts.raw.weathervane` takes them."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import msgspec

from pipeline.bounds import (
    MAX_ID_CHARACTERS,
    MAX_LANGUAGE_CHARACTERS,
    MAX_URL_CHARACTERS,
    MOST_DELETED_WITH,
)
from pipeline.errors import UNDECODABLE, Unreadable
from pipeline.notice import Action, Notice, Subject
from pipeline.platforms.attachments import media_of
from pipeline.platforms.mending import mended
from pipeline.platforms.reading import identity, number, text, type_name
from pipeline.post import (
    Author,
    IngestedPost,
    Post,
    Revision,
)
from pipeline.times import parse_time

_EPOCH = datetime.fromtimestamp(0, UTC)

_OPTIONAL: dict[str, Any] = {
    "platform": str,
    "lang": str | None,
    "reply_to": str | None,
    "repost_of": str | None,
    "repost_author": str | None,
    "deleted_with": tuple[str, ...],
    "url": str | None,
    "deleted": bool,
    "revision": Revision,
}
_strict = msgspec.json.Decoder(Post)
_platform = re.compile(r"[a-z0-9_-]{1,32}")


def decode(value: bytes) -> Post:
    """Read one canonical post.

    A well-formed record takes one typed decode. Any other is read field by field: an optional
    field of the wrong type is dropped, a required one makes the record unreadable.

    Raises:
        Unreadable: not JSON, no id, no readable time, or nothing to score.
    """
    try:
        post = _strict.decode(value)
    except UNDECODABLE:
        post = _by_field(load_object(value))
    return checked(_repeating(post))


def load_object(value: bytes) -> dict[str, Any]:
    """Read a JSON object.

    What is nearly right is read as what it means: see `mended`.

    Raises:
        Unreadable: empty, not Unicode, not JSON, or JSON of another type.
    """
    if not value:
        raise Unreadable("the record is empty; expected a JSON object")
    try:
        data = msgspec.json.decode(value)
    except RecursionError as error:
        raise Unreadable("the JSON is nested too deeply") from error
    except UNDECODABLE:
        data = mended(value)
    if not isinstance(data, dict):
        raise Unreadable(f"the JSON is {type_name(data)}; expected an object with an id")
    return data


def deleted(post_id: str, platform: str) -> Post:
    """That a post was deleted. Who says so need not know when it was made, and nobody asks."""
    return Post(id=post_id, platform=platform, created_at=_EPOCH, deleted=True)


def noticed(action: Action, *subjects: Subject, version_of: str | None = None) -> Notice:
    """What was said of posts or authors.

    Raises:
        Unreadable: an over-long id.
    """
    for subject in subjects:
        _checked_id(subject.id)
    return Notice(tuple(dict.fromkeys(subjects)), action, version_of)


def checked(post: Post) -> Post:
    """Enforce what types cannot say, and bring the time to UTC.

    Raises:
        Unreadable: an empty or over-long id, an unusable time, or nothing to score.
    """
    _checked_id(post.id)
    # A post whose text is there and empty was published: it is counted as one that nobody can read.
    if post.text is None and not post.media and not post.deleted:
        raise Unreadable("neither text nor media: there is nothing to score")
    if post.deleted:
        return post
    moment = parse_time(post.created_at)
    changes = _overlong(post)
    if moment is not post.created_at:
        changes["created_at"] = moment
    if not _platform.fullmatch(post.platform):
        changes["platform"] = "other"
    if post.edited_at is not None:
        edited_at = _moment_of_edit(post.edited_at, None if post.revision else moment)
        changes["edited_at"] = edited_at
        changes["revision"] = max(post.revision, int(edited_at is not None))
    return msgspec.structs.replace(post, **changes) if changes else post


def _overlong(post: Post) -> dict[str, Any]:
    """What is optional and longer than anything that means something: it is left out."""
    changes: dict[str, Any] = {}
    if post.lang and len(post.lang) > MAX_LANGUAGE_CHARACTERS:
        changes["lang"] = None
    if post.url and len(post.url) > MAX_URL_CHARACTERS:
        changes["url"] = None
    for name in ("reply_to", "repost_of", "repost_author"):
        value = getattr(post, name)
        if value is not None and not 0 < len(value) <= MAX_ID_CHARACTERS:
            changes[name] = None
    if post.deleted_with:
        kept = [name for name in post.deleted_with if 0 < len(name) <= MAX_ID_CHARACTERS]
        changes["deleted_with"] = tuple(kept[:MOST_DELETED_WITH])
    author = post.author
    if author is not None and len(author.id) > MAX_ID_CHARACTERS:
        changes["author"] = None
    elif author is not None and author.name and len(author.name) > MAX_ID_CHARACTERS:
        name = author.name[:MAX_ID_CHARACTERS]
        changes["author"] = msgspec.structs.replace(author, name=name)
    return changes


def _checked_id(name: str) -> None:
    if not name.strip():
        raise Unreadable("id is empty; expected a text like weathervane:42")
    if len(name) > MAX_ID_CHARACTERS:
        raise Unreadable(f"id has {len(name)} characters; at most {MAX_ID_CHARACTERS} are taken")


def _repeating(post: Post) -> Post:
    """The post with what it goes with. Who repeats a post has its words, unless told otherwise."""
    if post.repost_of is None and post.repost_author is None and not post.deleted_with:
        return post
    with_it = dict.fromkeys(
        name
        for name in (post.repost_of, *post.deleted_with)
        if name and name != post.id and len(name) <= MAX_ID_CHARACTERS
    )
    author = post.repost_author
    if author and ":" not in author:
        author = f"{post.platform}:{author}"
    return msgspec.structs.replace(post, deleted_with=tuple(with_it), repost_author=author or None)


def _by_field(data: dict[str, Any]) -> Post:
    if data.get("id") is None:
        raise Unreadable("no id; expected a text like weathervane:42")
    if not isinstance(data["id"], str):
        raise Unreadable(f"id is {type_name(data['id'])}; expected a text")
    if data.get("created_at") is None and data.get("deleted") is True:
        return deleted(data["id"], "weathervane")
    if data.get("created_at") is None:
        raise Unreadable("no created_at; expected RFC 3339, like 2026-01-31T12:00:00Z")
    moment: datetime = parse_time(data["created_at"])
    words = data.get("text")
    if words is not None and not isinstance(words, str):
        raise Unreadable(f"text is {type_name(words)}; expected a text or null")
    fields: dict[str, Any] = {}
    for name, kind in _OPTIONAL.items():
        if data.get(name) is not None:
            try:
                fields[name] = msgspec.convert(data[name], kind)
            except msgspec.ValidationError:
                continue
    fields["author"] = _author(data.get("author"))
    fields["edited_at"] = _moment_of_edit(data.get("edited_at"), None)
    media, unread = media_of(data.get("media"))
    post = Post(id=data["id"], created_at=moment, text=words, media=media, **fields)
    return IngestedPost(**msgspec.structs.asdict(post), unread_media=unread) if unread else post


def _author(value: object) -> Author | None:
    """The author: an object with an id, or the id alone, in either case a text or a number."""
    given = value if isinstance(value, dict) else {"id": value}
    name = identity(given, "id")
    if name is None:
        return None
    return Author(id=name, name=text(given, "name"), followers=number(given, "followers"))


def _moment_of_edit(value: object, created_at: datetime | None) -> datetime | None:
    """When the post was edited. Some sources write `created_at` there where it never was."""
    with suppress(Unreadable):
        moment = parse_time(value)
        return moment if created_at is None or moment > created_at else None
    return None
