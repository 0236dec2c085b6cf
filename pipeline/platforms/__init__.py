"""From a platform's own JSON to the canonical Post: one module a platform."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.notice import Notice
from pipeline.platforms import bluesky, canonical, mastodon, weibo, x
from pipeline.post import Post

Decoder = Callable[[bytes], Post | Notice | None]
"""Bytes of one raw record to a Post, to what it says of others, or None where it is neither (a
like, say).

Raises `Unreadable` where it should have been a post and is not.
"""

DECODERS: dict[str, Decoder] = {
    "weathervane": canonical.decode,
    "bluesky": bluesky.decode,
    "mastodon": mastodon.decode,
    "x": x.decode,
    "weibo": weibo.decode,
}
