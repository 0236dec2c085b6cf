"""That a post, or all posts of an author, are no longer there: what `deletions` holds, by id.

Its counts stay, which name nobody. Whoever keeps or shows single posts leaves it out from then on,
whichever of the two records is read first, and with it what repeats its words.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from pipeline.headers import Headers, cloud_event
from pipeline.notice import Action, Kind
from pipeline.post import encoder
from pipeline.records import Outgoing
from pipeline.times import AwareTime
from pipeline.topics import DELETIONS


class Deletion(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A post was deleted where it was published, or is to be erased."""

    id: str
    """Of the post: "platform:native"; where `of` is "author", of whose posts it all holds."""
    deleted_at: AwareTime
    """When we learnt of it."""
    of: Kind = "post"
    action: Action = "delete"
    """Hidden is what the platform does not show for now; it may be shown again. A version is no
    deletion: it says of which post this is a later id, by which a deletion may name it."""
    version_of: str | None = None


deletion_decoder = msgspec.json.Decoder(Deletion)


def deletion(
    post_id: str,
    now: datetime,
    source: str,
    parent: Headers,
    *,
    of: Kind = "post",
    action: Action = "delete",
    version_of: str | None = None,
) -> Outgoing:
    """The record of one. `source` is that of CloudEvents, `parent` the headers it is due to."""
    said = Deletion(id=post_id, deleted_at=now, of=of, action=action, version_of=version_of)
    value = encoder.encode(said)
    headers = cloud_event("weathervane.deletion", source, post_id, parent)
    return Outgoing(DELETIONS, post_id.encode(), value, headers)
