"""Posts of X: messages and tweets of the API v2, and tweets of v1.1 (docs.x.com).

A message of v2 is `{"data": tweet, "includes": …}`; media and authors are joined from `includes`.
An edited post has a new id, and those before it in `edit_history_tweet_ids`: its first is its id
here.
"""

from __future__ import annotations

from datetime import UTC, datetime
from html import unescape
from typing import Any

from pipeline.errors import Unreadable
from pipeline.platforms.canonical import checked, deleted, load_object
from pipeline.platforms.reading import identity, member, members, number, old_time, one, text
from pipeline.post import Author, Media, MediaKind, Post

_KINDS: dict[object, MediaKind] = {"photo": "image", "video": "video", "animated_gif": "video"}
_NO_LANGUAGE = {"und", "art", "zxx", "qam", "qct", "qht", "qme", "qst"}
"""X's codes for posts without words: only links, media, mentions, hashtags."""
_RENAMED = {"in": "id", "iw": "he"}
_NOTICES = {"limit", "scrub_geo", "status_withheld", "user_withheld", "disconnect", "warning"}
"""What stands beside tweets on a stream of v1.1."""
_EPOCH_MS = 1_288_834_974_657
"""X's ids hold the time since then, in milliseconds, above 22 bits."""


def decode(value: bytes) -> Post | None:
    """Read one message or tweet; None where it is neither, such as a limit notice.

    Raises:
        Unreadable: not JSON, a page of tweets, or a tweet without id, text and media.
    """
    data = load_object(value)
    one(data, "data", "tweets")
    gone = member(member(data, "delete"), "status")
    if gone:
        name = identity(gone, "id_str", "id")
        if name is None:
            raise Unreadable("no delete.status.id")
        return checked(deleted(f"x:{name}", "x"))
    tweet = member(data, "data") or data
    name = identity(tweet, "id_str", "id")
    if name is None:
        if data.get("errors"):
            raise Unreadable("the message holds errors of the API and no tweet")
        if data.keys() & _NOTICES:
            return None
        raise Unreadable("no id: not a tweet (expected id, text, created_at)")
    return checked(_post(name, tweet, member(data, "includes")))


def _post(name: str, tweet: dict[str, Any], includes: dict[str, Any]) -> Post:
    repeated = member(tweet, "retweeted_status") or _referenced(tweet, includes, "retweeted")
    # What is retweeted stands in the tweet itself cut to 140 characters.
    shown = repeated if _text(repeated) else tweet
    history = tweet.get("edit_history_tweet_ids")
    versions = [v for v in history if isinstance(v, str)] if isinstance(history, list) else []
    first = versions[0] if name in versions else name
    return Post(
        id=f"x:{first}",
        platform="x",
        author=_author(tweet, includes),
        created_at=_created(tweet, name),
        lang=_language(text(tweet, "lang")),
        text=_text(shown),
        media=tuple(_media(shown, includes)),
        reply_to=_id(
            identity(tweet, "in_reply_to_status_id_str", "in_reply_to_status_id")
            or _reference(tweet, "replied_to")
        ),
        repost_of=_id(identity(repeated, "id_str", "id") or _reference(tweet, "retweeted")),
        url=f"https://x.com/i/status/{name}",
        revision=versions.index(name) if name in versions else 0,
    )


def _created(tweet: dict[str, Any], name: str) -> datetime:
    if tweet.get("created_at") is not None:
        return old_time(tweet["created_at"], "created_at")
    # v2 leaves out what was not asked for.
    if name.isascii() and name.isdigit() and 0 < int(name) >> 22 < 1 << 42:
        return datetime.fromtimestamp(((int(name) >> 22) + _EPOCH_MS) / 1000, UTC)
    raise Unreadable("no created_at, and no time in the id")


def _text(tweet: dict[str, Any]) -> str | None:
    longest = (
        text(member(tweet, "note_tweet"), "text")
        or text(member(tweet, "extended_tweet"), "full_text")
        or text(tweet, "full_text", "text")
    )
    return None if longest is None else unescape(longest)


def _language(code: str | None) -> str | None:
    return None if code is None or code in _NO_LANGUAGE else _RENAMED.get(code, code)


def _author(tweet: dict[str, Any], includes: dict[str, Any]) -> Author | None:
    user = member(tweet, "user")
    name = identity(user, "id_str", "id") or identity(tweet, "author_id")
    if name is None:
        return None
    user = user or _included(includes, "users", "id", name)
    followers = number(user, "followers_count")
    if followers is None:
        followers = number(member(user, "public_metrics"), "followers_count")
    return Author(id=name, name=text(user, "name", "screen_name", "username"), followers=followers)


def _media(tweet: dict[str, Any], includes: dict[str, Any]) -> list[Media]:
    whole = member(tweet, "extended_tweet") or tweet
    found = (
        members(member(whole, "extended_entities"), "media")
        or members(member(whole, "entities"), "media")
        or members(whole, "media")
    )
    keys = member(tweet, "attachments").get("media_keys")
    if isinstance(keys, list):
        found = [_included(includes, "media", "media_key", key) for key in keys]
    return [
        Media(
            kind=kind,
            # Of a video both versions of the API give a still picture beside its variants.
            url=_video(item) if kind == "video" else text(item, "media_url_https", "url"),
            alt=text(item, "ext_alt_text", "alt_text"),
        )
        for item in found
        if (kind := _KINDS.get(item.get("type")))
    ]


def _video(item: dict[str, Any]) -> str | None:
    variants = members(member(item, "video_info"), "variants") or members(item, "variants")
    smallest = sorted(
        (number(v, "bitrate") or number(v, "bit_rate") or 0, v["url"])
        for v in variants
        if v.get("content_type") == "video/mp4" and text(v, "url")
    )
    return smallest[0][1] if smallest else None


def _reference(tweet: dict[str, Any], kind: str) -> str | None:
    """The id of the tweet that this one refers to so."""
    found = (r for r in members(tweet, "referenced_tweets") if r.get("type") == kind)
    return next((identity(reference, "id") for reference in found), None)


def _referenced(tweet: dict[str, Any], includes: dict[str, Any], kind: str) -> dict[str, Any]:
    name = _reference(tweet, kind)
    return {} if name is None else _included(includes, "tweets", "id", name)


def _included(includes: dict[str, Any], kind: str, key: str, name: object) -> dict[str, Any]:
    return next((item for item in members(includes, kind) if item.get(key) == name), {})


def _id(name: str | None) -> str | None:
    return None if name is None else f"x:{name}"
