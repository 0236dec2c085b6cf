"""Posts of X: messages and tweets of the API v2, and tweets of v1.1 (docs.x.com).

A message of v2 is `{"data": tweet, "includes": …}`; media and authors are joined from `includes`.
An edited post has a new id, and those before it in `edit_history_tweet_ids`: its first is its id
here. What repeats another's words goes with them: `repost_of`, `repost_author`, `deleted_with`.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from html import unescape
from typing import Any

from pipeline.errors import Unreadable
from pipeline.notice import Notice
from pipeline.platforms.canonical import checked, load_object
from pipeline.platforms.reading import (
    empty_text,
    identities,
    identity,
    member,
    members,
    number,
    old_time,
    one,
    text,
)
from pipeline.platforms.x_compliance import compliance, edits_of, is_compliance
from pipeline.post import Author, Media, MediaKind, Post

_KINDS: dict[object, MediaKind] = {"photo": "image", "video": "video", "animated_gif": "video"}
_NO_LANGUAGE = {"und", "art", "zxx", "qam", "qct", "qht", "qme", "qst"}
"""X's codes for posts without words: only links, media, mentions, hashtags."""
_RENAMED = {"in": "id", "iw": "he"}
_NOTICES = {"limit", "disconnect", "warning"}
"""What stands beside tweets on a stream of v1.1."""
_EPOCH_MS = 1_288_834_974_657
"""X's ids hold the time since then, in milliseconds, above 22 bits."""


_REPEATS = re.compile(r"(?:^|\s)RT @(\w+)")


def decode(value: bytes) -> Post | Notice | None:
    """Read one message, tweet or compliance event; None where it is neither, such as a limit
    notice.

    Raises:
        Unreadable: not JSON, a page of tweets, or a tweet without id, text and media.
    """
    data = load_object(value)
    one(data, "data", "tweets")
    if is_compliance(data):
        return compliance(data)
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
    versions = _versions(tweet, name)
    first = versions[0]
    original = identity(repeated, "id_str", "id") or _reference(tweet, "retweeted")
    originals = [] if original is None else _versions(repeated, original)
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
        repost_of=_id(originals[0]) if originals else None,
        repost_author=_id(_repeated_author(tweet, repeated, includes)),
        deleted_with=tuple(f"x:{v}" for v in dict.fromkeys(versions[1:] + originals)),
        url=f"https://x.com/i/status/{name}",
        revision=versions.index(name),
    )


def _versions(tweet: dict[str, Any], name: str) -> list[str]:
    """Ids of all versions of a tweet, the first first; itself where it was not edited."""
    found = edits_of(tweet)
    return found if name in found else [name]


def _repeated_author(
    tweet: dict[str, Any], repeated: dict[str, Any], includes: dict[str, Any]
) -> str | None:
    """Whose words a tweet repeats, also where somebody typed "RT @name" in front of them."""
    known = identity(member(repeated, "user"), "id_str", "id") or identity(repeated, "author_id")
    if known is not None:
        return known
    match = _REPEATS.search(_text(tweet) or "")
    if match is None:
        return None
    entities = member(tweet, "entities")
    named = (
        *members(entities, "user_mentions"),
        *members(entities, "mentions"),
        *members(includes, "users"),
    )
    handles = ((text(user, "screen_name", "username"), user) for user in named)
    return next(
        (
            identity(user, "id_str", "id")
            for handle, user in handles
            if handle and handle.casefold() == match[1].casefold()
        ),
        None,
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
    return empty_text(tweet, "full_text", "text") if longest is None else unescape(longest)


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
        known = {identity(item, "media_key"): item for item in reversed(members(includes, "media"))}
        named = identities(member(tweet, "attachments"), "media_keys")
        found = [known[key] for key in named if key in known]
    return [
        Media(
            kind=kind,
            # Of a video both versions of the API give a still picture beside its variants.
            url=_video(item) if kind == "video" else text(item, "media_url_https", "url"),
            alt=text(item, "ext_alt_text", "alt_text"),
        )
        for item in found
        if (kind := _KINDS.get(text(item, "type")))
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
    return next((item for item in members(includes, kind) if identity(item, key) == name), {})


def _id(name: str | None) -> str | None:
    return None if name is None else f"x:{name}"
