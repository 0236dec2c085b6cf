"""Infer: posts to sentiment events. This process feeds, the device process runs the model."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from typing import Any

import msgspec

from models.errors import ItemError
from models.prediction import Prediction, nothing_read
from models.prepare import Item, Prepared, Preparer
from models.registry import find_release
from pipeline.clients import consumer, membership, producer
from pipeline.delivery import Delivery
from pipeline.errors import UNDECODABLE, Unreadable, WeathervaneError
from pipeline.event import Emotions, Opinion, Polarity, SentimentEvent
from pipeline.headers import RECEIVED, cloud_event, header_int
from pipeline.media import UnreadReason
from pipeline.post import IngestedPost, UnreadMedia, encoder, posts_decoder
from pipeline.pseudonym import pseudonym
from pipeline.records import Outgoing, Record, dead_letter
from pipeline.settings import Settings
from pipeline.shedding import Behind, Shed, Shedding, keeps
from pipeline.telemetry import Telemetry
from pipeline.topics import POSTS, SENTIMENT, SHED, provide
from workers.device import LOAD_SECONDS, Device
from workers.process import watchdog, worker

GROUP = "infer"
LOADING = "the model is loading"
_PIECE_BYTES = 64 << 10
"""Fetched of a partition at once, unless one batch is larger. What was fetched is read to its end
before another partition's turn: with large pieces the lag of each went up and down by a minute
under overload, and the memory with them."""
_DIGITS = 4


class Unscorable(WeathervaneError):
    """A post was read and cannot be scored; its text says why."""


class Infer:
    """The transform of posts. Everything is per batch: tokenising, the forward pass, encoding."""

    def __init__(
        self,
        preparer: Preparer,
        device: Device,
        salt: str | None,
        telemetry: Telemetry,
        shedding: Shedding | None = None,
    ) -> None:
        """With `shedding`, a sample of the posts is scored when they are read too late."""
        self._shedding, self._behind = shedding, Behind()
        self._preparer = preparer
        self._device = device
        self._salt = salt
        self._telemetry = telemetry

    def __call__(self, records: Sequence[Record]) -> list[Outgoing]:
        """Answer each post with an event, a dead letter, or a note that it was shed."""
        answers: list[Outgoing | None] = [None] * len(records)
        with self._telemetry.step("prepare"):
            posts = self._decode(records, answers)
            weight = self._shed(records, posts, answers)
            ready = self._prepare(records, posts, answers)
        with self._telemetry.step("model"):
            scored = iter(self._device.predict([p for _, _, p in ready if not p.blank]))
            # Of a post of which there is nothing to read nothing is asked.
            predictions = [nothing_read() if p.blank else next(scored) for _, _, p in ready]
        with self._telemetry.step("encode"):
            now = datetime.now(UTC)
            for (place, post, _), prediction in zip(ready, predictions, strict=True):
                record = records[place]
                if isinstance(prediction, ItemError):
                    answers[place] = self._letter(record, Unscorable(prediction.reason))
                else:
                    answers[place] = self._event(record, post, prediction, now, weight)
        self._telemetry.count("ok", sum(answer.topic == SENTIMENT for answer in answers if answer))
        return [answer for answer in answers if answer is not None]

    def _decode(
        self, records: Sequence[Record], answers: list[Outgoing | None]
    ) -> dict[int, IngestedPost]:
        """The posts by their places. What is none has its answer at once."""
        posts: dict[int, IngestedPost] = {}
        for place, record in enumerate(records):
            try:
                posts[place] = posts_decoder.decode(record.value or b"")
            except UNDECODABLE as error:
                answers[place] = self._letter(record, Unreadable(f"not a post: {error}"))
        return posts

    def _shed(
        self,
        records: Sequence[Record],
        posts: dict[int, IngestedPost],
        answers: list[Outgoing | None],
    ) -> float:
        """Take out of `posts` what the lag leaves no time for; the weight of those that stay."""
        if self._shedding is None:
            return 1.0
        now = datetime.now(UTC)
        lag = self._behind.lag(records, now.timestamp())
        weight = self._shedding.weight(lag)
        left_out = [place for place, post in posts.items() if not keeps(post.id, weight)]
        for place in left_out:
            post = posts.pop(place)
            note = Shed(
                id=post.id,
                platform=post.platform,
                created_at=post.created_at,
                shed_at=now,
                lang=post.lang,
                tracks=post.tracks,
                reason=f"infer was {lag:.0f} s behind",
                weight=weight,
            )
            headers = cloud_event(
                "weathervane.shed", "/weathervane/infer", post.id, records[place].headers
            )
            answers[place] = Outgoing(SHED, post.id.encode(), encoder.encode(note), headers)
        self._telemetry.shed(len(left_out), weight)
        return weight

    def _prepare(
        self,
        records: Sequence[Record],
        posts: dict[int, IngestedPost],
        answers: list[Outgoing | None],
    ) -> list[tuple[int, IngestedPost, Prepared]]:
        """Prepare; what is ready, by its place. What fails has its answer at once."""
        items = [item_of(post) for post in posts.values()]
        ready: list[tuple[int, IngestedPost, Prepared]] = []
        results = self._preparer.prepare(items)
        for (place, post), result in zip(posts.items(), results, strict=True):
            if isinstance(result, ItemError):
                reason = f"{_place_of_media(post)}: {result.reason}; there is no text to score"
                answers[place] = self._letter(records[place], Unscorable(reason))
            else:
                ready.append((place, self._naming_unread(post, result), result))
        return ready

    def _naming_unread(self, post: IngestedPost, prepared: Prepared) -> IngestedPost:
        """The post with the attachments named that came this far and are not read."""
        unread = unread_here(post, prepared.damaged, self._preparer.reads)
        if not unread:
            return post
        for item in unread:
            self._telemetry.unread_media(item.kind, item.reason)
        every = sorted((*post.unread_media, *unread), key=lambda item: item.index)
        return msgspec.structs.replace(post, unread_media=tuple(every))

    def _letter(self, record: Record, error: WeathervaneError) -> Outgoing:
        self._telemetry.dead_lettered(error)
        return dead_letter(record, error)

    def _event(
        self,
        record: Record,
        post: IngestedPost,
        prediction: Prediction,
        now: datetime,
        weight: float,
    ) -> Outgoing:
        event = to_event(
            post,
            prediction,
            self._device.model,
            self._author(post),
            now,
            weight=weight,
            repost_author=post.repost_author and pseudonym(post.repost_author, self._salt),
        )
        received = header_int(record.headers, RECEIVED)
        headers = cloud_event(
            "weathervane.sentiment",
            "/weathervane/infer",
            post.id,
            record.headers,
            postpartition=record.partition,
            postoffset=record.offset,
            received=record.timestamp if received is None else received,
        )
        return Outgoing(SENTIMENT, post.id.encode(), encoder.encode(event), headers)

    def _author(self, post: IngestedPost) -> str | None:
        if post.author is None:
            return None
        return pseudonym(f"{post.platform}:{post.author.id}", self._salt)


def item_of(post: IngestedPost) -> Item:
    """What the model is given of a post."""
    return Item(post.text, post.inline("image"), post.inline("audio"))


def unread_here(
    post: IngestedPost, damaged: Collection[str], reads: Collection[str]
) -> list[UnreadMedia]:
    """The inline attachments that the model is not given: it reads one picture and one sound."""
    unread: list[UnreadMedia] = []
    seen: set[str] = set()
    for index, media in enumerate(post.media):
        if not media.data:
            continue
        reason: UnreadReason | None = None
        if media.kind not in reads:
            reason = "not_read_by_model"
        elif media.kind in seen:
            reason = "over_limit"
        elif media.kind in damaged:
            reason = "damaged"
        seen.add(media.kind)
        if reason is not None:
            unread.append(UnreadMedia(index, media.kind, reason))
    return unread


def _place_of_media(post: IngestedPost) -> str:
    """Where in the post its first inline attachment stands."""
    return f"media[{next((n for n, media in enumerate(post.media) if media.data), 0)}]"


def to_event(
    post: IngestedPost,
    prediction: Prediction,
    model: str,
    author: str | None,
    now: datetime,
    *,
    weight: float = 1.0,
    repost_author: str | None = None,
) -> SentimentEvent:
    """The event of one prediction, probabilities rounded to four digits."""
    return SentimentEvent(
        id=post.id,
        platform=post.platform,
        author=author,
        created_at=post.created_at,
        scored_at=now,
        lang=post.lang,
        tracks=post.tracks,
        modalities=prediction.modalities,
        emotions=_emotions(prediction.emotions),
        dominant=prediction.dominant,
        polarity=_polarity(prediction.polarity),
        sentiment=round(float(prediction.sentiment), _DIGITS),
        confidence=round(float(prediction.confidence), _DIGITS),
        abstained=prediction.abstained,
        conflict=round(float(prediction.conflict), _DIGITS),
        by_modality={
            name: Opinion(_emotions(emotions), _polarity(polarity))
            for name, (emotions, polarity) in prediction.by_modality.items()
        },
        model=model,
        weight=weight,
        revision=post.revision,
        edited_at=post.edited_at,
        repost_of=post.repost_of,
        repost_author=repost_author,
        deleted_with=post.deleted_with,
        unread_media=post.unread_media,
    )


def _emotions(values: Any) -> Emotions:
    return Emotions(*(round(value, _DIGITS) for value in values.tolist()))


def _polarity(values: Any) -> Polarity:
    negative, _, positive = (round(value, _DIGITS) for value in values.tolist())
    # The middle takes what rounding leaves, so that the three sum to 1.
    positive = min(positive, round(1 - negative, _DIGITS))
    return Polarity(negative, round(1 - negative - positive, _DIGITS), positive)


def run(settings: Settings, port: int) -> None:
    """Run one infer worker until SIGTERM.

    Raises:
        WeathervaneError: the model is missing or altered, or Kafka does not answer.
    """
    release = find_release(settings.release)
    shedding = Shedding.of(settings)
    with worker(GROUP, settings, port) as (telemetry, stop):
        telemetry.ready(False, LOADING)
        telemetry.progress(LOAD_SECONDS)

        def on_state(ready: bool) -> None:
            # Each process less is a step towards the item that kills them.
            telemetry.progress(0 if ready else LOAD_SECONDS)
            telemetry.ready(ready, LOADING)

        with (
            watchdog(telemetry, settings.stalled_seconds / 2),
            Device(
                release,
                settings.device,
                settings.device_timeout_seconds,
                on_state,
                settings.device_memory_mib,
            ) as device,
            closing(consumer(settings, GROUP, max_partition_fetch_bytes=_PIECE_BYTES)) as source,
            closing(producer(settings, f"{GROUP}-{settings.name}")) as sink,
        ):
            telemetry.needs(partial(membership, source))
            source.subscribe([POSTS])
            preparer = Preparer.load(release)
            salt = settings.secret("author_salt")
            transform = Infer(preparer, device, salt, telemetry, shedding)
            Delivery(
                source,
                sink,
                transform,
                telemetry,
                settings.batch_seconds,
                provide=partial(provide, settings),
            ).run(stop)
