"""Erasing a post, or all posts of an author, wherever Weathervane keeps them.

Order:
    Step 1. find the posts: of an author all that `posts` still holds.
    Step 2. say in `deletions` that they are gone, and wait until the store has forgotten them.
    Step 3. take them out of the dead letters, and out of the evidence of alerts.
    A repeat, as after a crash, does no harm.

Not erased at once: the records in the topics that keep everything for a while. Kafka deletes
nothing in the middle of a topic; they go with their retention, and nobody shows them meanwhile.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError

from pipeline.alerts.alert import Alert, alert_decoder
from pipeline.alerts.reconcile import without_posts
from pipeline.clients import consumer, producer
from pipeline.deletion import deletion
from pipeline.deletion_fold import DeletionFolder
from pipeline.errors import UNDECODABLE, ServerUnavailable, Unreadable
from pipeline.headers import cloud_event
from pipeline.platforms import DECODERS
from pipeline.post import Author, Post, encoder
from pipeline.reading import partitions_of, until_ends
from pipeline.records import Outgoing, Record
from pipeline.settings import Settings
from pipeline.store import connect
from pipeline.topics import ALERTS, DELETIONS, POSTS, RAW_PREFIX, dead_letter_topic, kept_hours
from workers import dlq
from workers.progress import Progress

STORE_SECONDS = 30.0
"""Longest wait for the store."""
_LOOK_SECONDS = 0.1
_ROUNDS = 20
"""Of looking for alerts that name a post."""
_SOURCE = "/weathervane/erase"


class _Written(msgspec.Struct):
    """The part of a post in `posts` that says whose it is."""

    id: str
    platform: str = "weathervane"
    author: Author | None = None


_written = msgspec.json.Decoder(_Written)


@dataclass(frozen=True, slots=True)
class Erased:
    """What was erased."""

    posts: int
    """Post ids that are deleted now."""
    letters: int
    alerts: int
    """Alerts whose evidence named one of the posts."""
    stored: bool
    """Whether the store has forgotten them already."""
    gone_at: datetime
    """When no topic holds them any more."""


def erase_post(settings: Settings, post_id: str) -> Erased:
    """Erase one post, also where none of this id has come yet.

    Raises:
        ServerUnavailable: Kafka does not answer.
    """
    return _erase(settings, [post_id], post_id, None)


def erase_author(settings: Settings, author: str) -> Erased:
    """Erase every post of an author: their id at their platform, alone or as "platform:id".

    Raises:
        ServerUnavailable: Kafka does not answer.
    """
    found = _posts_of(settings, author)
    return _erase(settings, list(found), next(iter(found.values()), author), author)


def _erase(settings: Settings, posts: Collection[str], name: str, author: str | None) -> Erased:
    """Erase posts. Dead letters that cannot be read are theirs where they hold `name` as a text."""
    now = datetime.now(UTC)
    ids = frozenset(posts)
    texts = (msgspec.json.encode(name), json.dumps(name).encode())

    def is_of(letter: Record) -> bool:
        value = letter.value or b""
        if (letter.key or b"").decode("utf-8", "replace") in ids or any(t in value for t in texts):
            return True
        post = _raw_post(letter)
        return post is not None and (
            post.id in ids or (author is not None and _is_by(post, author))
        )

    def gone(post_id: str) -> bool:
        # An id of Bluesky has its author's in it.
        return post_id in ids or (author is not None and name in post_id.split("/"))

    with closing(producer(settings)) as sink:
        _send(sink, [deletion(post_id, now, _SOURCE, []) for post_id in posts])
        stored = _forgotten(settings)
        letters = dlq.erase(settings, is_of)
        alerts = _out_of_alerts(settings, sink, gone)
    gone_at = now + timedelta(hours=kept_hours(settings.retention_hours))
    return Erased(len(posts), letters, alerts, stored, gone_at)


def _is_by(post: _Written | Post, author: str) -> bool:
    by = post.author.id if post.author is not None else None
    return by is not None and author in (by, f"{post.platform}:{by}")


def _raw_post(letter: Record) -> Post | None:
    """The post of a raw record that became a dead letter, where it can be read."""
    platform = letter.topic.removesuffix(dead_letter_topic("")).removeprefix(RAW_PREFIX)
    try:
        return DECODERS[platform](letter.value or b"") if platform in DECODERS else None
    except Unreadable:
        return None


def _posts_of(settings: Settings, author: str) -> dict[str, str]:
    """Ids of the author's posts that are kept, each with the author's id at its platform."""
    found: dict[str, str] = {}
    with closing(consumer(settings, None)) as source:
        places = _from_the_start(source, POSTS)
        ends = source.end_offsets(places)
        begins = source.beginning_offsets(places)
        total = sum(ends[place] - begins[place] for place in places)
        with Progress("looking for posts", total) as progress:
            for batch in until_ends(source, ends):
                for record in batch:
                    progress.advance()
                    try:
                        post = _written.decode(record.value or b"")
                    except UNDECODABLE:
                        continue
                    if post.author is not None and _is_by(post, author):
                        found[post.id] = post.author.id
    return found


def _forgotten(settings: Settings) -> bool:
    """Whether the store has taken in all of `deletions` within STORE_SECONDS."""
    with closing(consumer(settings, None)) as source, closing(connect(settings.redis)) as client:
        ends = source.end_offsets(_from_the_start(source, DELETIONS))
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
                return True
            time.sleep(_LOOK_SECONDS)
    return False


def _out_of_alerts(settings: Settings, sink: KafkaProducer, gone: Callable[[str], bool]) -> int:
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
        _send(sink, [_published(alert) for alert in states])
    raise ServerUnavailable(f"{ALERTS} is written too fast to erase from it; call this again")


def _published(alert: Alert) -> Outgoing:
    headers = cloud_event("weathervane.alert", _SOURCE, f"{alert.id}:{alert.sequence}", [])
    return Outgoing(ALERTS, alert.id.encode(), encoder.encode(alert), headers)


def _states(settings: Settings) -> list[Alert]:
    """All that `alerts` holds, in its order."""
    found: list[Alert] = []
    with closing(consumer(settings, None)) as source:
        ends = source.end_offsets(_from_the_start(source, ALERTS))
        for batch in until_ends(source, ends):
            for record in batch:
                # Another's record is no alert.
                with suppress(*UNDECODABLE):
                    found.append(alert_decoder.decode(record.value or b""))
    return found


def _from_the_start(source: KafkaConsumer, topic: str) -> list[TopicPartition]:
    """Read every partition of the topic from its beginning; the partitions."""
    places = partitions_of(source, topic)
    source.assign(places)
    source.seek_to_beginning(*places)
    return places


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
