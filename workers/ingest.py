"""Ingest: raw platform records to canonical posts with small, clean media."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import msgspec

from pipeline.clients import consumer, membership, on_topics, producer
from pipeline.deletion import deletion
from pipeline.delivery import Delivery, Prefix
from pipeline.errors import Unreadable
from pipeline.headers import cloud_event
from pipeline.media import LEFT_ALONE, CleanMedia, MediaCleaner, RawMedia, UnreadReason
from pipeline.notice import Notice
from pipeline.platforms import DECODERS
from pipeline.post import IngestedPost, Media, Post, UnreadMedia, encoder
from pipeline.records import Outgoing, Record, dead_letter
from pipeline.settings import Settings
from pipeline.telemetry import Telemetry
from pipeline.topics import MAX_RECORD_BYTES, POSTS, RAW_PREFIX, provide
from pipeline.tracks import TrackFile
from workers.process import watchdog, worker
from workers.strangers import RAW_PATTERN, Strangers

log = logging.getLogger(__name__)

GROUP = "ingest"
MAX_CLEANED = 4
"""Attachments of a post that are cleaned and kept inline; of further ones the reference stays."""
MEDIA_SECONDS = 15.0
"""For the media of a batch; after it no post with media is begun."""
_HEADER_ROOM = 20_000
_SAID = {
    "malformed": "it is no object with kind and bytes or url",
    "bad_encoding": "its bytes are not base64",
}
"""Of an attachment that the cleaner never saw."""


@dataclass(slots=True)
class _Draft:
    """A record on its way: a post, what it says of others, or what is wrong with it, or nothing."""

    record: Record
    post: Post | None = None
    notice: Notice | None = None
    error: Unreadable | None = None
    unread: tuple[UnreadMedia, ...] = ()


class Ingest:
    """The transform of raw records. Its only state is the media child and the tracks."""

    def __init__(self, tracks: TrackFile, cleaner: MediaCleaner, telemetry: Telemetry) -> None:
        self._tracks = tracks
        self._cleaner = cleaner
        self._telemetry = telemetry

    def __call__(self, records: Sequence[Record]) -> Prefix:
        """Answer each record with a post, a deletion, a dead letter, or nothing where it is none.

        Those whose media there was no time for are left for the next call.
        """
        with self._telemetry.step("decode"):
            drafts = [_decoded(record) for record in records]
        with self._telemetry.step("media"):
            handled = self._clean_all(drafts)
        answers = [out for draft in drafts[:handled] for out in self._answers(draft)]
        return Prefix(answers, handled)

    def _clean_all(self, drafts: list[_Draft]) -> int:
        """Clean the media of the posts while there is time; of how many, one at least."""
        deadline = time.monotonic() + MEDIA_SECONDS
        for index, draft in enumerate(drafts):
            if draft.post is not None and draft.post.media and not draft.post.deleted:
                if index and time.monotonic() >= deadline:
                    return index
                self._telemetry.progress()
                self._clean(draft, draft.post)
        return len(drafts)

    def _clean(self, draft: _Draft, post: Post) -> None:
        """Clean the inline media of one post. What cannot be read of them is named."""
        cleaned: dict[int, CleanMedia] = {}
        unread = {item.index: item for item in getattr(post, "unread_media", ())}
        why: dict[int, str] = {}
        for index, media in enumerate(post.media):
            if index in unread:
                continue
            code = _left_alone(index, media)
            if code is None and media.data is not None and media.kind != "video":
                [result] = self._cleaner.clean([RawMedia(media.kind, media.data)])
                if isinstance(result, CleanMedia):
                    cleaned[index] = result
                    continue
                code, why[index] = result.code, result.reason
            unread[index] = UnreadMedia(index, media.kind, code or "malformed")
        draft.unread = tuple(unread[index] for index in sorted(unread))
        draft.post = msgspec.structs.replace(post, media=_replaced(post.media, cleaned))
        nothing_left = not cleaned and not (post.text and post.text.strip())
        if nothing_left and not any(item.reason in LEFT_ALONE for item in draft.unread):
            first = draft.unread[0]
            reason = why.get(first.index) or _SAID.get(
                first.reason, f"it cannot be read ({first.reason})"
            )
            draft.error = Unreadable(f"media[{first.index}]: {reason}; there is no text to score")

    def _answers(self, draft: _Draft) -> list[Outgoing]:
        if draft.notice is not None:
            return self._noticed(draft.record, draft.notice)
        answer = self._answer(draft)
        return [] if answer is None else [answer]

    def _noticed(self, record: Record, notice: Notice) -> list[Outgoing]:
        """What the record says of other posts and of authors, a record each."""
        self._telemetry.count("deleted")
        source = f"/weathervane/ingest/{notice.id.partition(':')[0]}"
        now = datetime.now(UTC)
        return [
            deletion(
                subject.id,
                now,
                source,
                record.headers,
                of=subject.of,
                action=notice.action,
                version_of=notice.version_of,
            )
            for subject in notice.subjects
        ]

    def _answer(self, draft: _Draft) -> Outgoing | None:
        record, post = draft.record, draft.post
        if draft.error is None and post is not None and post.deleted:
            self._telemetry.count("deleted")
            source = f"/weathervane/ingest/{post.platform}"
            return deletion(post.id, datetime.now(UTC), source, record.headers)
        if draft.error is None and post is not None:
            tracks = self._tracks.current().match(post)
            fields = msgspec.structs.asdict(post) | {"unread_media": draft.unread}
            ingested = IngestedPost(**fields | {"tracks": tracks})
            value = encoder.encode(ingested)
            if len(value) > MAX_RECORD_BYTES - _HEADER_ROOM:
                ingested = _fitting(ingested)
                value = encoder.encode(ingested)
            if len(value) <= MAX_RECORD_BYTES - _HEADER_ROOM:
                for item in ingested.unread_media:
                    self._telemetry.unread_media(item.kind, item.reason)
                self._telemetry.count("ok")
                source = f"/weathervane/ingest/{post.platform}"
                headers = cloud_event(
                    "weathervane.post", source, post.id, record.headers, received=record.timestamp
                )
                return Outgoing(POSTS, post.id.encode(), value, headers)
            draft.error = Unreadable(f"the post is {len(value)} bytes with its media made small")
        if draft.error is not None:
            self._telemetry.dead_lettered(draft.error)
            return dead_letter(record, draft.error)
        self._telemetry.count("skipped")
        return None


def _decoded(record: Record) -> _Draft:
    platform = record.topic.removeprefix(RAW_PREFIX)
    decode = DECODERS.get(platform)
    if decode is None:
        return _Draft(record, error=Unreadable(f"posts of the platform {platform!r} are not read"))
    try:
        found = decode(record.value or b"")
        if isinstance(found, Notice):
            return _Draft(record, notice=found)
        return _Draft(record, post=found)
    except Unreadable as error:
        return _Draft(record, error=error)
    except Exception as error:
        # Whatever it is, one record must not stop its partition for ever.
        log.exception("%s-%d@%d: decoding failed", record.topic, record.partition, record.offset)
        return _Draft(record, error=Unreadable(f"decoding failed: {type(error).__name__}"))


def _left_alone(index: int, media: Media) -> UnreadReason | None:
    """Why nothing is wrong with an attachment and yet it is not read."""
    if media.kind == "video":
        return "not_supported"
    if media.data is None:
        return "not_fetched" if media.url else "malformed"
    return "over_limit" if index >= MAX_CLEANED else None


def _fitting(post: IngestedPost) -> IngestedPost:
    """The post with room for its headers: attachments go where there is none, the largest first."""
    while True:
        if len(encoder.encode(post)) <= MAX_RECORD_BYTES - _HEADER_ROOM:
            return post
        sizes = [len(media.data or b"") for media in post.media]
        if not any(sizes):
            return post
        index = sizes.index(max(sizes))
        media = list(post.media)
        media[index] = msgspec.structs.replace(media[index], data=None)
        dropped = UnreadMedia(index, media[index].kind, "too_large")
        unread = sorted((*post.unread_media, dropped), key=lambda item: item.index)
        post = msgspec.structs.replace(post, media=tuple(media), unread_media=tuple(unread))


def _replaced(media: Sequence[Media], clean: dict[int, CleanMedia]) -> tuple[Media, ...]:
    """The media with their cleaned bytes; bytes that were not cleaned do not go on."""
    return tuple(
        msgspec.structs.replace(item, data=clean[index].data, mime=clean[index].mime)
        if index in clean
        else msgspec.structs.replace(item, data=None)
        for index, item in enumerate(media)
    )


def run(settings: Settings, port: int) -> None:
    """Run one ingest worker until SIGTERM.

    Raises:
        WeathervaneError: a setting is wrong, or Kafka does not answer.
    """
    with (
        worker(GROUP, settings, port) as (telemetry, stop),
        watchdog(telemetry, settings.stalled_seconds / 2),
    ):
        tracks = TrackFile(settings.tracks)
        with (
            MediaCleaner() as cleaner,
            closing(consumer(settings, GROUP)) as source,
            closing(producer(settings, f"{GROUP}-{settings.name}")) as sink,
        ):
            telemetry.needs(partial(membership, source))
            on_topics(source, Strangers(telemetry))
            source.subscribe(pattern=RAW_PATTERN)
            transform = Ingest(tracks, cleaner, telemetry)
            delivery = Delivery(
                source,
                sink,
                transform,
                telemetry,
                settings.batch_seconds,
                provide=partial(provide, settings),
            )
            telemetry.ready(True)
            delivery.run(stop)
