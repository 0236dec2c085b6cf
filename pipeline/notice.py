"""What a platform says of posts that it showed before: deleted, hidden, to be shown again."""

from __future__ import annotations

from typing import Literal

import msgspec

Action = Literal["delete", "hide", "show", "version"]
"""A hidden post may be shown again; a deleted one does not come back; a version is a later id of
another post."""
Kind = Literal["post", "author"]


class Subject(msgspec.Struct, frozen=True, gc=False):
    """A post, or all posts of an author."""

    id: str
    """ "platform:native"."""
    of: Kind = "post"


class Notice(msgspec.Struct, frozen=True, gc=False):
    """A record that is no post and says something of others."""

    subjects: tuple[Subject, ...]
    """At least one."""
    action: Action = "delete"
    version_of: str | None = None

    @property
    def id(self) -> str:
        """Of the first subject: what the record may be keyed by."""
        return self.subjects[0].id

    @property
    def deleted(self) -> bool:
        """That there is no post to show or to score, as of a post that says so."""
        return True
