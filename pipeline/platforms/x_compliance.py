"""What X says of posts and accounts that it showed before: its compliance events, in every form.

- of the streams of v1.1: `{"delete": {"status": {…}}}`, `{"user_protect": {…}}`
- of those of v2: the same in `data`, with `tweet` or `user` in it
- a line of a batch job: `{"id": …, "action": "delete", …}`

Sources: docs.x.com, compliance data objects, and batch compliance. X knows who lives where, we do
not: what is withheld in some countries is hidden.
"""

from __future__ import annotations

from typing import Any

from pipeline.errors import Unreadable
from pipeline.notice import Action, Notice, Subject
from pipeline.platforms.canonical import noticed
from pipeline.platforms.reading import identities, identity, member

_OF_POSTS: dict[str, Action | None] = {
    "delete": "delete",
    "status_delete": "delete",
    "tweet_delete": "delete",
    "drop": "hide",
    "undrop": "show",
    "withheld": "hide",
    "status_withheld": "hide",
    "tweet_withheld": "hide",
    "tweet_edit": "version",
}
_OF_AUTHORS: dict[str, Action | None] = {
    # An account can be had back for 30 days; then X deletes its posts one by one.
    "user_delete": "hide",
    "user_undelete": "show",
    "user_deactivate": "hide",
    "user_reactivate": "show",
    "user_protect": "hide",
    "user_unprotect": "show",
    "user_suspend": "hide",
    "user_unsuspend": "show",
    "user_withheld": "hide",
    # No place is kept of a post, and no profile of an author.
    "scrub_geo": None,
    "user_profile_modification": None,
}
_NAMES = _OF_POSTS.keys() | _OF_AUTHORS.keys()


def is_compliance(data: dict[str, Any]) -> bool:
    """Whether a record is such an event and no tweet, which may have a field of the same name."""
    inner = member(data, "data") or data
    if isinstance(inner.get("action"), str):
        return identity(inner, "id_str", "id") is not None and not inner.keys() & {
            "text",
            "full_text",
        }
    return identity(inner, "id_str", "id") is None and not _NAMES.isdisjoint(inner)


def compliance(data: dict[str, Any]) -> Notice | None:
    """What the event asks for; None where that is nothing.

    Raises:
        Unreadable: it does not say whom it is about.
    """
    inner = member(data, "data") or data
    if isinstance(inner.get("action"), str):
        return _of_batch(inner)
    name = next(name for name in inner if name in _NAMES)
    body = member(inner, name)
    if name in _OF_AUTHORS:
        return _of_author(name, body)
    return _of_post(name, body)


def _of_batch(line: dict[str, Any]) -> Notice | None:
    """A line of a job for posts and one of a job for users look the same. X numbers both by the
    time at which they were made, so that a number is never both.
    """
    if line["action"] != "delete":
        return None
    name = f"x:{identity(line, 'id_str', 'id')}"
    return noticed("delete", Subject(name), Subject(name, "author"))


def _of_post(name: str, body: dict[str, Any]) -> Notice | None:
    action = _OF_POSTS[name]
    tweet = member(body, "tweet") or member(body, "status") or body
    if action is None or member(body, "favorite"):
        return None
    if action == "version":
        return _of_edit([*edits_of(body), *edits_of(tweet)])
    post = identity(tweet, "id_str", "id", "tweet_id")
    if post is None:
        raise Unreadable(f"no id of a post in {name}")
    versions = [v for part in (body, tweet) for v in edits_of(part)]
    # The first is the id of them all here.
    ids = dict.fromkeys([*(versions if post in versions else []), post])
    return noticed(_unless_lifted(action, body, tweet), *(Subject(f"x:{each}") for each in ids))


def _of_edit(versions: list[str]) -> Notice | None:
    """What was edited comes by itself; but by its later ids a deletion may name it."""
    later = [Subject(f"x:{version}") for version in versions[1:] if version != versions[0]]
    return noticed("version", *later, version_of=f"x:{versions[0]}") if later else None


def _of_author(name: str, body: dict[str, Any]) -> Notice | None:
    action = _OF_AUTHORS[name]
    user = member(body, "user") or body
    if action is None:
        return None
    author = identity(user, "id_str", "id", "user_id_str", "user_id")
    if author is None:
        raise Unreadable(f"no id of a user in {name}")
    return noticed(_unless_lifted(action, body, user), Subject(f"x:{author}", "author"))


def _unless_lifted(action: Action, *parts: dict[str, Any]) -> Action:
    """Withheld in no country any more: to be shown."""
    return "show" if any(part.get("withheld_in_countries") == [] for part in parts) else action


def edits_of(tweet: dict[str, Any]) -> list[str]:
    """Ids of all versions of a tweet, the first first, where it has an edit history."""
    controls = member(tweet, "edit_history") or member(tweet, "edit_controls")
    return (
        identities(tweet, "edit_history_tweet_ids")
        or identities(tweet, "edit_tweet_ids")
        or identities(controls, "edit_tweet_ids")
    )
