"""That a post is no longer there: what `deletions` holds, keyed by post id.

Its counts stay, which name nobody. Whoever keeps or shows single posts leaves it out from then on,
whichever of the two records is read first.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from pipeline.headers import Headers, cloud_event
from pipeline.post import encoder
from pipeline.records import Outgoing
from pipeline.times import AwareTime
from pipeline.topics import DELETIONS


class Deletion(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A post was deleted where it was published, or is to be erased."""

    id: str
    """Of the post: "platform:native"."""
    deleted_at: AwareTime
    """When we learnt of it."""


deletion_decoder = msgspec.json.Decoder(Deletion)


def deletion(post_id: str, now: datetime, source: str, parent: Headers) -> Outgoing:
    """The record of one. `source` is that of CloudEvents, `parent` the headers it is due to."""
    value = encoder.encode(Deletion(id=post_id, deleted_at=now))
    headers = cloud_event("weathervane.deletion", source, post_id, parent)
    return Outgoing(DELETIONS, post_id.encode(), value, headers)
