"""Erasing a post, or all posts of an author, wherever Weathervane keeps them.

Order:
    Step 1. find the posts and what repeats their words: all that `posts` still holds.
    Step 2. say in `deletions` that they are gone, and wait until the store has forgotten them.
    Step 3. take them out of the dead letters, and out of the evidence of alerts.
    A repeat, as after a crash, does no harm.

Not erased at once: the records in the topics that keep everything for a while. Kafka deletes
nothing in the middle of a topic; they go with their retention, and nobody shows them meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from kafka import KafkaProducer
from kafka.errors import KafkaError

from pipeline.alerts.alert import Alert, alert_decoder
from pipeline.alerts.reconcile import without_posts
from pipeline.clients import consumer, producer
from pipeline.deletion import deletion
from pipeline.deletion_fold import DeletionFolder
from pipeline.errors import UNDECODABLE, ServerUnavailable
from pipeline.headers import cloud_event
from pipeline.post import encoder
from pipeline.reading import until_ends
from pipeline.records import Outgoing
from pipeline.settings import Settings
from pipeline.store import Store, asked
from pipeline.topics import ALERTS, DELETIONS, kept_hours
from workers import dlq
from workers.erase_search import Findings, from_the_start, search

STORE_SECONDS = 30.0
"""Longest wait for the store."""
_LOOK_SECONDS = 0.1
_ROUNDS = 20
"""Of looking for alerts that name a post."""
_SOURCE = "/weathervane/erase"


@dataclass(frozen=True, slots=True)
class Erased:
    """What was erased, or with `dry_run` would be."""

    posts: int
    """That were found, copies among them."""
    copies: int
    """Of these what repeats the words of the others."""
    letters: int
    alerts: int
    """Alerts whose evidence named one of the posts."""
    stored: bool
    """Whether the store has forgotten them already, which was looked at."""
    since: datetime | None
    """When the first post came that was looked at; None where there was none."""
    gone_at: datetime
    """When no topic holds them any more."""
    dry_run: bool

    @property
    def nothing(self) -> bool:
        """Whether nothing of it was found."""
        return not (self.posts or self.letters or self.alerts)


def erase_post(settings: Settings, post_id: str, *, dry_run: bool = False) -> Erased:
    """Erase one post and what repeats its words, also where none of this id has come yet.

    Raises:
        ServerUnavailable: Kafka or Redis does not answer.
    """
    return _erase(settings, search(settings, "post", post_id), dry_run)


def erase_author(settings: Settings, author: str, *, dry_run: bool = False) -> Erased:
    """Erase every post of an author ("platform:native"), and what repeats their words.

    Raises:
        ServerUnavailable: Kafka or Redis does not answer.
    """
    return _erase(settings, search(settings, "author", author), dry_run)


def _erase(settings: Settings, found: Findings, dry_run: bool) -> Erased:
    now = datetime.now(UTC)
    native = found.name.partition(":")[2]

    def gone(post_id: str) -> bool:
        # An id of Bluesky has its author's in it.
        own = found.of == "author" and native in post_id.split("/")
        return own or post_id in found.ids

    stored = False
    if not dry_run:
        # Before anything is erased, so that it is not left half done.
        with asked(settings.redis) as client:
            client.ping()
    with closing(producer(settings)) as sink:
        if not dry_run:
            _send(sink, [deletion(post_id, now, _SOURCE, []) for post_id in found.ids])
            stored = _forgotten(settings, found.ids)
        letters = dlq.erase(settings, found.holds, dry_run=dry_run)
        alerts = _out_of_alerts(settings, sink, gone, dry_run)
    gone_at = now + timedelta(hours=kept_hours(settings.retention_hours))
    return Erased(
        posts=len(found.posts | found.copies),
        copies=len(found.copies - found.posts),
        letters=letters,
        alerts=alerts,
        stored=stored,
        since=found.since,
        gone_at=gone_at,
        dry_run=dry_run,
    )


def _forgotten(settings: Settings, ids: Collection[str]) -> bool:
    """Whether the store has taken in all of `deletions` within STORE_SECONDS, and has none of the
    posts then.
    """
    with closing(consumer(settings, None)) as source, asked(settings.redis) as client:
        ends = source.end_offsets(from_the_start(source, DELETIONS))
        waited = {place: end for place, end in ends.items() if end}
        folder = DeletionFolder(client)
        names = [folder.keys(place.partition).position for place in waited]
        deadline = time.monotonic() + STORE_SECONDS
        while time.monotonic() < deadline:
            # What is behind the last record is the marker of its transaction.
            stored = [
                max(int(at or 0) for at in client.hmget(name, ["offset", "reached"]))
                for name in names
            ]
            if all(at >= end for at, end in zip(stored, waited.values(), strict=True)):
                return not Store(client).holds(ids)
            time.sleep(_LOOK_SECONDS)
    return False


def _out_of_alerts(
    settings: Settings, sink: KafkaProducer, gone: Callable[[str], bool], dry_run: bool
) -> int:
    """Publish every alert that names one of the posts anew without it; how many there were.

    The monitor may publish a state with the old evidence meanwhile: look until there is none.

    Raises:
        ServerUnavailable: it does so time and again.
    """
    changed: set[str] = set()
    for _ in range(_ROUNDS):
        states = without_posts(_states(settings), gone)
        if not states:
            return len(changed)
        changed.update(alert.id for alert in states)
        if dry_run:
            return len(changed)
        _send(sink, [_published(alert) for alert in states])
    raise ServerUnavailable(f"{ALERTS} is written too fast to erase from it; call this again")


def _published(alert: Alert) -> Outgoing:
    headers = cloud_event("weathervane.alert", _SOURCE, f"{alert.id}:{alert.sequence}", [])
    return Outgoing(ALERTS, alert.id.encode(), encoder.encode(alert), headers)


def _states(settings: Settings) -> list[Alert]:
    """All that `alerts` holds, in its order."""
    found: list[Alert] = []
    with closing(consumer(settings, None)) as source:
        ends = source.end_offsets(from_the_start(source, ALERTS))
        for batch in until_ends(source, ends):
            for record in batch:
                # Another's record is no alert.
                with suppress(*UNDECODABLE):
                    found.append(alert_decoder.decode(record.value or b""))
    return found


def _send(sink: KafkaProducer, records: Iterable[Outgoing]) -> None:
    try:
        sent = [
            sink.send(out.topic, key=out.key, value=out.value, headers=out.headers)
            for out in records
        ]
        sink.flush(timeout=STORE_SECONDS)
        for future in sent:
            future.get(timeout=STORE_SECONDS)
    except KafkaError as error:
        raise ServerUnavailable(f"Kafka did not take the deletions: {error!r}") from error
