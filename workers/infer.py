"""Infer: posts to sentiment events. This process feeds, the device process runs the model."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

from models.errors import ItemError
from models.prediction import Prediction
from models.prepare import Item, Prepared, Preparer
from models.registry import find_release
from pipeline.clients import consumer, producer
from pipeline.delivery import Delivery
from pipeline.errors import UNDECODABLE, Unreadable, WeathervaneError
from pipeline.event import Emotions, Opinion, Polarity, SentimentEvent
from pipeline.headers import RECEIVED, cloud_event, header_int
from pipeline.post import IngestedPost, encoder, posts_decoder
from pipeline.records import Outgoing, Record, dead_letter
from pipeline.settings import Settings
from pipeline.telemetry import Telemetry
from pipeline.topics import POSTS, SENTIMENT
from workers.device import Device
from workers.process import worker

GROUP = "infer"
LOADING = "the model is loading"
_DIGITS = 4


class Unscorable(WeathervaneError):
    """A post was read and cannot be scored; its text says why."""


class Infer:
    """The transform of posts. Everything is per batch: tokenising, the forward pass, encoding."""

    def __init__(
        self, preparer: Preparer, device: Device, salt: str | None, telemetry: Telemetry
    ) -> None:
        self._preparer = preparer
        self._device = device
        self._salt = salt.encode() if salt else None
        self._telemetry = telemetry

    def __call__(self, records: Sequence[Record]) -> list[Outgoing]:
        """Answer each post with an event or a dead letter."""
        answers: list[Outgoing | None] = [None] * len(records)
        with self._telemetry.step("prepare"):
            ready = self._prepare(records, answers)
        with self._telemetry.step("model"):
            predictions = self._device.predict([prepared for _, _, prepared in ready])
        with self._telemetry.step("encode"):
            now = datetime.now(UTC)
            for (place, post, _), prediction in zip(ready, predictions, strict=True):
                record = records[place]
                if isinstance(prediction, ItemError):
                    answers[place] = self._letter(record, Unscorable(prediction.reason))
                else:
                    answers[place] = self._event(record, post, prediction, now)
        self._telemetry.count("ok", sum(answer.topic == SENTIMENT for answer in answers if answer))
        return [answer for answer in answers if answer is not None]

    def _prepare(
        self, records: Sequence[Record], answers: list[Outgoing | None]
    ) -> list[tuple[int, IngestedPost, Prepared]]:
        """Decode and prepare; what is ready, by its place. What fails has its answer at once."""
        places: list[int] = []
        posts: list[IngestedPost] = []
        for place, record in enumerate(records):
            try:
                posts.append(posts_decoder.decode(record.value or b""))
                places.append(place)
            except UNDECODABLE as error:
                answers[place] = self._letter(record, Unreadable(f"not a post: {error}"))
        items = [Item(p.text, p.inline("image"), p.inline("audio")) for p in posts]
        ready: list[tuple[int, IngestedPost, Prepared]] = []
        results = self._preparer.prepare(items)
        for place, post, result in zip(places, posts, results, strict=True):
            if isinstance(result, ItemError):
                answers[place] = self._letter(records[place], Unscorable(result.reason))
            else:
                ready.append((place, post, result))
        return ready

    def _letter(self, record: Record, error: WeathervaneError) -> Outgoing:
        self._telemetry.dead_lettered(error)
        return dead_letter(record, error)

    def _event(
        self, record: Record, post: IngestedPost, prediction: Prediction, now: datetime
    ) -> Outgoing:
        event = to_event(post, prediction, self._device.model, self._author(post), now)
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
        if self._salt is None or post.author is None:
            return None
        name = f"{post.platform}:{post.author.id}".encode()
        return hashlib.blake2b(name, key=self._salt[:64], digest_size=16).hexdigest()


def to_event(
    post: IngestedPost, prediction: Prediction, model: str, author: str | None, now: datetime
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
        revision=post.revision,
        edited_at=post.edited_at,
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
    with worker(GROUP, settings, port) as (telemetry, stop):
        telemetry.ready(False, LOADING)

        def on_state(ready: bool) -> None:
            telemetry.ready(ready, LOADING)

        with (
            Device(release, settings.device, settings.device_timeout_seconds, on_state) as device,
            closing(consumer(settings, GROUP)) as source,
            closing(producer(settings, f"{GROUP}-{settings.name}")) as sink,
        ):
            source.subscribe([POSTS])
            preparer = Preparer.load(release)
            transform = Infer(preparer, device, settings.secret("author_salt"), telemetry)
            Delivery(source, sink, transform, telemetry, settings.batch_seconds).run(stop)
