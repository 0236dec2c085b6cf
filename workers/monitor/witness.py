"""The posts behind an alert: their ids from the store, their texts from `posts`, then forgotten."""

from __future__ import annotations

import logging
from collections.abc import Iterable

import msgspec
from kafka.errors import KafkaError
from redis import RedisError

from pipeline.alerts.alert import Alert
from pipeline.alerts.evidence import LOOKED_AT, Sample, Shown, of_series, with_posts
from pipeline.buckets import HOUR, MINUTE, Exemplar
from pipeline.posts_reader import Place, PostReader
from pipeline.store import Store

READ_SECONDS = 10.0
"""An alert waits no longer than this for each half of its evidence."""
log = logging.getLogger(__name__)


class Witness:
    """Completes alerts. Used by one thread at a time."""

    def __init__(self, store: Store, posts: PostReader) -> None:
        self._store, self._posts = store, posts

    def complete(self, alert: Alert) -> Alert:
        """The alert with evidence from its posts, where store and topic answer; else as it was.

        An alert without its posts is worth more than none.
        """
        onset, end = (int(moment.timestamp()) for moment in (alert.onset, alert.updated_at))
        try:
            now = self._sample(alert, max(onset, end - HOUR), end)
            before = self._sample(alert, onset - HOUR, onset)
        except (RedisError, KafkaError) as error:
            log.warning("alert %s goes without its posts: %r", alert.id, error)
            return alert
        return msgspec.structs.replace(alert, evidence=with_posts(alert, now, before))

    def _sample(self, alert: Alert, start: int, end: int) -> Sample:
        """Posts of the alert's series in [start, end), epoch seconds, evenly over the minutes."""
        found = [
            exemplar
            for minute in range(start, end, MINUTE)
            for exemplar in self._store.bucket_exemplars(alert.track, minute)
            if of_series(exemplar, alert.series)
        ]
        return list(self._read(found[:: 1 + len(found) // LOOKED_AT]))

    def _read(self, exemplars: Iterable[Exemplar]) -> Iterable[Shown]:
        places: dict[Place, Exemplar] = {
            (each.partition, each.offset): each
            for each in exemplars
            if each.partition is not None and each.offset is not None
        }
        posts = self._posts.read_many(places, READ_SECONDS)
        for place, exemplar in places.items():
            post = posts[place]
            # Another post at this place: the topic was made anew.
            if post is not None and post.id == exemplar.id:
                yield Shown(exemplar, post)
