"""A page over a real store and a real `posts` topic, served on a port of its own."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from kafka import KafkaProducer

from pipeline.alerts.alert import Alert
from pipeline.buckets import Scored
from pipeline.event import EMOTIONS, Emotion, Emotions, Modality, Polarity, SentimentEvent
from pipeline.fold import Folder, Position
from pipeline.lag import Lag
from pipeline.post import IngestedPost, Media
from pipeline.posts_reader import PostReader
from pipeline.settings import Settings
from pipeline.store import Store, connect
from pipeline.times import epoch_ms
from pipeline.topics import ALERTS, POSTS, create_topics
from tests.waiting import until
from workers.api.alerts import AlertDesk
from workers.api.app import create_app
from workers.api.server import make_server
from workers.api.watch import STORE_SECONDS

DAY = datetime(2026, 11, 18, tzinfo=UTC)
NEVER_OLD_MS = epoch_ms(datetime(2100, 1, 1, tzinfo=UTC))


@dataclass
class Written:
    """A post and what the model said of it, in the few words that a test needs."""

    id: str
    text: str | None = "a post"
    minute: float = 0
    emotion: Emotion = "joy"
    tracks: tuple[str, ...] = ("all",)
    platform: str = "bluesky"
    lang: str | None = "en"
    url: str | None = None
    media: tuple[Media, ...] = ()
    abstained: bool = False
    unread: bool = False
    conflict: float = 0.0
    published: bool = True
    """Whether the post stands in `posts`."""

    @property
    def created_at(self) -> datetime:
        """Event time."""
        return DAY + timedelta(minutes=self.minute)

    @property
    def modalities(self) -> tuple[Modality, ...]:
        """What the model read."""
        if self.unread:
            return ()
        return ("text", "image") if self.media else ("text",)

    def post(self) -> IngestedPost:
        """The post as ingest writes it."""
        return IngestedPost(
            id=self.id,
            created_at=self.created_at,
            platform=self.platform,
            lang=self.lang,
            text=self.text,
            url=self.url,
            media=self.media,
            tracks=self.tracks,
        )

    def event(self) -> SentimentEvent:
        """The event as infer writes it."""
        negative, positive = {"joy": (0.1, 0.8), "neutral": (0.1, 0.1)}.get(
            self.emotion, (0.75, 0.125)
        )
        return SentimentEvent(
            id=self.id,
            platform=self.platform,
            author=None,
            created_at=self.created_at,
            scored_at=self.created_at,
            lang=self.lang,
            tracks=self.tracks,
            modalities=self.modalities,
            emotions=Emotions(*(0.9 if name == self.emotion else 0.05 for name in EMOTIONS)),
            dominant=None if self.unread else self.emotion,
            polarity=Polarity(negative, 1 - negative - positive, positive),
            sentiment=positive - negative,
            confidence=0.9,
            abstained=self.abstained or self.unread,
            conflict=self.conflict,
            by_modality={},
            model="test@0",
        )


@dataclass
class Site:
    """A served page and the means to fill it."""

    address: str
    settings: Settings
    store: Store
    folder: Folder
    _alerts: set[str] = field(default_factory=set)
    _offset: int = 0
    _position: Position = field(default_factory=Position)

    def add(self, posts: Sequence[Written]) -> None:
        """Publish the posts and fold their events, as the workers would."""
        places = self._publish([post for post in posts if post.published])
        batch = []
        for at, post in enumerate(posts, self._offset):
            moment = epoch_ms(post.created_at)
            place = places.get(post.id, (None, None))
            batch.append(Scored(post.event(), at, moment, moment, *place))
        self._position = self.folder.position(0)
        self._offset += len(posts)
        folded = self.folder.fold(0, self._position, batch, self._offset, int(time.time() * 1000))
        assert folded.applied
        self.up_to_date()

    def alert(self, *alerts: Alert) -> None:
        """Publish states of alerts, as the monitor would."""
        self._alerts |= {alert.id for alert in alerts}
        self._send_alerts((alert.id, msgspec.json.encode(alert)) for alert in alerts)

    def withdraw_alerts(self) -> None:
        """Delete the alerts from the topic, which all pages share."""
        self._send_alerts((alert, None) for alert in self._alerts)

    def _send_alerts(self, records: Iterable[tuple[str, bytes | None]]) -> None:
        producer = KafkaProducer(**self.settings.kafka_options())
        try:
            for alert, value in records:
                producer.send(ALERTS, key=alert.encode(), value=value).get(timeout=20)
        finally:
            producer.close()

    def up_to_date(self) -> None:
        """The same as if the aggregator did it each second."""
        self.confirm(NEVER_OLD_MS)

    def confirm(self, complete_ms: int) -> None:
        """Let the store know that all that came before is counted."""
        self._position = self.folder.position(0)
        self.folder.confirm(0, self._position, self._offset, complete_ms)

    def empty(self) -> None:
        """Take all out of the store."""
        client, namespace = connect(self.settings.redis), self.folder.namespace
        client.delete(*client.scan_iter(f"{namespace}:*"))

    def _publish(self, posts: Sequence[Written]) -> dict[str, tuple[int, int]]:
        if not posts:
            return {}
        producer = KafkaProducer(**self.settings.kafka_options())
        try:
            sent = {
                post.id: producer.send(
                    POSTS, key=post.id.encode(), value=msgspec.json.encode(post.post())
                )
                for post in posts
            }
            places = {name: future.get(timeout=20) for name, future in sent.items()}
            return {name: (place.partition, place.offset) for name, place in places.items()}
        finally:
            producer.close()


@contextmanager
def serve(settings: Settings, namespace: str, tick: float = 0.05) -> Iterator[Site]:
    """Serve the page of one namespace on a free port of the loopback."""
    store = Store.connect(settings.redis, namespace, STORE_SECONDS)
    posts, lag = PostReader(settings), Lag(settings)
    app = create_app(store, posts, lag, AlertDesk(settings), tick=tick)
    server = make_server(app, "127.0.0.1", 0)
    server.config.timeout_graceful_shutdown = 1
    thread = threading.Thread(target=server.run, name="page")
    thread.start()
    try:
        until(lambda: server.started or not thread.is_alive(), "the page is served")
        port = server.servers[0].sockets[0].getsockname()[1]
        folder = Folder(connect(settings.redis), 600_000, 48 * 3_600_000, namespace)
        site = Site(f"http://127.0.0.1:{port}", settings, store, folder)
        yield site
        site.withdraw_alerts()
    finally:
        server.should_exit = True
        thread.join(20)
        posts.close()
        lag.close()
    assert not thread.is_alive(), "the server did not stop"


@pytest.fixture(scope="session")
def site_settings(kafka: str, redis_url: str) -> Settings:
    """Settings of the session's servers, with the topics created."""
    settings = Settings(kafka=kafka, redis=redis_url.replace("/0", "/7"), partitions=3)
    create_topics(settings)
    return settings


@pytest.fixture
def site(site_settings: Settings) -> Iterator[Site]:
    """An empty page in a namespace of its own."""
    with serve(site_settings, f"page-{uuid.uuid4().hex[:8]}") as served:
        yield served
