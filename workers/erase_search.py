"""Finding what is to be erased: posts, and what repeats their words."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

import msgspec
from kafka import KafkaConsumer, TopicPartition

from pipeline.clients import consumer
from pipeline.errors import UNDECODABLE, Unreadable
from pipeline.platforms import DECODERS
from pipeline.post import Author, Post
from pipeline.reading import partitions_of, until_ends
from pipeline.records import Record
from pipeline.settings import Settings
from pipeline.topics import POSTS, RAW_PREFIX, dead_letter_topic
from workers.progress import Progress

_REPEATING = ("mastodon", "x")
"""Platforms whose every repost has the words of another, also in a record of an earlier version,
which does not say what it goes with."""


class Written(msgspec.Struct):
    """The part of a post in `posts` that says whose words it has."""

    id: str
    platform: str = "weathervane"
    author: Author | None = None
    repost_of: str | None = None
    repost_author: str | None = None
    deleted_with: tuple[str, ...] = ()

    @property
    def needs(self) -> tuple[str, ...]:
        """Ids of the posts that it goes with."""
        if self.deleted_with or self.repost_of is None or self.platform not in _REPEATING:
            return self.deleted_with
        return (self.repost_of,)


_written = msgspec.json.Decoder(Written)


@dataclass(slots=True)
class Findings:
    """What belongs to a post or an author ("platform:native"), and what repeats it."""

    of: Literal["post", "author"]
    name: str
    posts: set[str] = field(default_factory=set)
    """Ids of the post itself, or of those of the author."""
    copies: set[str] = field(default_factory=set)
    """Ids of what repeats their words."""
    named: set[str] = field(default_factory=set)
    """Ids of what is to be gone though it was not found, as where its copies alone have come."""
    since: datetime | None = None
    """When the first record came that was looked at; None where there was none."""

    @property
    def ids(self) -> set[str]:
        """Of everything that is to be gone."""
        return self.posts | self.copies | self.named

    def take(self, post: Written) -> None:
        """Take the post in where it belongs here."""
        if self._is_own(post):
            self.posts.add(post.id)
        elif self._is_copy(post):
            self.copies.add(post.id)
            if post.repost_author == self.name:
                # Copies that come later are of the same post.
                self.named.update(post.needs)

    def _is_copy(self, post: Written | Post) -> bool:
        needs = post.needs if isinstance(post, Written) else post.deleted_with
        by_author = self.of == "author" and post.repost_author == self.name
        return by_author or any(need in ids for need in needs for ids in self._sets())

    def _sets(self) -> tuple[set[str], ...]:
        return self.posts, self.copies, self.named

    def _is_own(self, post: Written | Post) -> bool:
        if self.of == "post":
            # An id of a canonical post may be without its platform.
            return self.name in (post.id, f"{post.platform}:{post.id}")
        author = post.author.id if post.author is not None else None
        return author is not None and self.name in (author, f"{post.platform}:{author}")

    def holds(self, letter: Record) -> bool:
        """Whether a dead letter is one of them: by its key, by its post, or, where no post can be
        read, because its text names the post or the author.
        """
        if (letter.key or b"").decode("utf-8", "replace") in self.ids:
            return True
        platform = letter.topic.removesuffix(dead_letter_topic("")).removeprefix(RAW_PREFIX)
        post = _post_of(letter, platform)
        if post is not None:
            return post.id in self.ids or self._is_own(post) or self._is_copy(post)
        return _names(letter, self.name)


def search(settings: Settings, of: Literal["post", "author"], name: str) -> Findings:
    """Look through all of `posts`, again as long as there may be copies of what was found.

    Raises:
        ServerUnavailable: Kafka does not answer.
    """
    found = Findings(of, name, named={name} if of == "post" else set())
    with closing(consumer(settings, None)) as source:
        places = from_the_start(source, POSTS)
        ends = source.end_offsets(places)
        begins = source.beginning_offsets(places)
        total = sum(ends[place] - begins[place] for place in places)
        before = -1
        while len(found.ids) > before:
            before = len(found.ids)
            source.seek_to_beginning(*places)
            with Progress("looking for posts", total) as progress:
                repeating = _look(found, _records(source, ends, progress.advance))
            if not repeating or not found.ids:
                break
    return found


def _look(found: Findings, records: Iterator[Record]) -> bool:
    """One walk over `posts`; whether any post there repeats another."""
    repeating = False
    first: int | None = None
    for record in records:
        first = record.timestamp if first is None else min(first, record.timestamp)
        try:
            post = _written.decode(record.value or b"")
        except UNDECODABLE:
            continue
        found.take(post)
        repeating = repeating or bool(post.needs)
    if first is not None:
        found.since = datetime.fromtimestamp(first / 1000, UTC)
    return repeating


def _records(
    source: KafkaConsumer, ends: dict[TopicPartition, int], advance: Callable[[], None]
) -> Iterator[Record]:
    for batch in until_ends(source, ends):
        for record in batch:
            advance()
            yield record


def from_the_start(source: KafkaConsumer, topic: str) -> list[TopicPartition]:
    """Read every partition of the topic from its beginning; the partitions."""
    places = partitions_of(source, topic)
    source.assign(places)
    source.seek_to_beginning(*places)
    return places


def _post_of(letter: Record, platform: str) -> Written | Post | None:
    """The post of a dead letter, raw or ingested, where it can be read."""
    try:
        if platform in DECODERS:
            post = DECODERS[platform](letter.value or b"")
            return post if isinstance(post, Post) else None
        return _written.decode(letter.value or b"")
    except (Unreadable, *UNDECODABLE):
        return None


def _names(letter: Record, name: str) -> bool:
    """Whether a text that cannot be read names it: with its platform, or, in what is of that very
    platform, as a text of its own or as a number where an id stands.
    """
    value = letter.value or b""
    given, _, native = name.partition(":")
    if any(text in value for text in _as_json(name)):
        return True
    if _platform_of(letter) != given:
        return False
    if any(text in value for text in _as_json(native)):
        return True
    if not native.isdigit():
        return False
    number = rb'id(?:_?str)?"\s*:\s*' + native.encode() + rb"\b"
    return re.search(number, value) is not None


def _platform_of(letter: Record) -> str:
    """The platform of a text that cannot be read: of its topic, or, where canonical posts of any
    platform stand, the one that it says.
    """
    topic = letter.topic.removesuffix(dead_letter_topic(""))
    platform = topic.removeprefix(RAW_PREFIX)
    if topic.startswith(RAW_PREFIX) and platform != "weathervane":
        return platform
    said = re.search(rb'"platform"\s*:\s*"([^"]*)"', letter.value or b"")
    return said[1].decode("utf-8", "replace") if said else "weathervane"


def _as_json(text: str) -> tuple[bytes, bytes]:
    return msgspec.json.encode(text), json.dumps(text).encode()
