"""Weibo statuses: of the open API (open.weibo.com/wiki/2/statuses) and of the mobile one."""

from __future__ import annotations

from typing import Any

from pipeline.errors import Unreadable
from pipeline.notice import Notice, Subject
from pipeline.platforms.canonical import checked, deleted, load_object, noticed
from pipeline.platforms.reading import (
    empty_text,
    identity,
    member,
    members,
    number,
    old_time,
    one,
    plain,
    text,
)
from pipeline.post import Author, Media, Post

_NO_WORDS = {"", "转发微博", "轉發微博", "Repost"}
"""What stands in a repost to which nothing was added."""
_NOTICE = "抱歉"
"""How Weibo's notice begins that a status is not there, or not for all to see."""
_ZERO_WIDTH = "\u200b"


def decode(value: bytes) -> Post | Notice | None:
    """Read one status; None where it is not public, or repeats without words what is not there any
    more.

    Raises:
        Unreadable: not JSON, a page of statuses, or a status without id, time, text and media.
    """
    data = load_object(value)
    one(data, "statuses", "statuses")
    name = identity(data, "idstr", "mid", "id")
    if name is None:
        raise Unreadable("no id: not a Weibo status (expected idstr, created_at, text)")
    if str(data.get("deleted")) == "1":
        return checked(deleted(f"weibo:{name}", "weibo"))
    if number(member(data, "visible"), "type"):
        return None
    if data.get("created_at") is None:
        raise Unreadable("no created_at; expected a time like Wed Apr 16 18:58:11 +0800 2014")
    repeated = member(data, "retweeted_status")
    bare = bool(repeated) and _words(data) in _NO_WORDS
    shown = repeated if bare else data
    original = _id(identity(repeated, "idstr", "mid", "id"))
    if bare and _gone(repeated):
        said = str(repeated.get("deleted")) == "1" and original
        return noticed("delete", Subject(original)) if said and original else None
    return checked(
        Post(
            id=f"weibo:{name}",
            platform="weibo",
            author=_author(member(data, "user")),
            created_at=old_time(data["created_at"], "created_at"),
            text=_words(shown) or empty_text(shown, "raw_text", "text"),
            media=tuple(_media(shown)),
            repost_of=original,
            repost_author=_id(identity(member(repeated, "user"), "idstr", "id")) if bare else None,
            # A repost with words of its own has none of the original's.
            deleted_with=(original,) if bare and original else (),
            url=f"https://m.weibo.cn/detail/{name}",
        )
    )


def _gone(status: dict[str, Any]) -> bool:
    """Whether Weibo's notice stands in the place of what was repeated."""
    if str(status.get("deleted")) == "1":
        return True
    return not member(status, "user") and _words(status).startswith(_NOTICE)


def _id(name: str | None) -> str | None:
    return None if name is None else f"weibo:{name}"


def _words(status: dict[str, Any]) -> str:
    whole = text(member(status, "longText"), "longTextContent")
    words = whole or text(status, "raw_text", "text") or ""
    return plain(words.replace(_ZERO_WIDTH, ""))


def _author(user: dict[str, Any]) -> Author | None:
    name = identity(user, "idstr", "id")
    if name is None:
        return None
    shown = text(user, "screen_name", "name")
    return Author(id=name, name=shown, followers=number(user, "followers_count"))


def _media(status: dict[str, Any]) -> list[Media]:
    return [Media(kind="image", url=url) for url in _pictures(status)]


def _pictures(status: dict[str, Any]) -> list[str]:
    """Addresses of the large pictures, in their order."""
    infos, ids = member(status, "pic_infos"), status.get("pic_ids")
    if infos and isinstance(ids, list):
        of_ids = (member(infos, name) for name in ids if isinstance(name, str))
        found = [text(member(info, "large"), "url") for info in of_ids]
    else:
        found = [
            text(member(item, "large"), "url") or _large(text(item, "thumbnail_pic", "url"))
            for item in members(status, "pic_urls") or members(status, "pics")
        ]
    found = found or [text(status, "original_pic")]
    return [url for url in found if url]


def _large(url: str | None) -> str | None:
    """The address of a picture, given that of its thumbnail."""
    return None if url is None else url.replace("/thumbnail/", "/large/")
