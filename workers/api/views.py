"""What the routes and the stream answer: JSON shapes, and their making from store and posts.

Everything here is synchronous and may be called from several threads.
"""

from __future__ import annotations

import base64
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec
from kafka.errors import KafkaError

from pipeline.alerts.alert import Alert
from pipeline.buckets import Bucket, Counts, Exemplar
from pipeline.lag import LagOfGroup, LagReading
from pipeline.post import Media, Post
from pipeline.posts_reader import Place, PostReader
from pipeline.store import Freshness, Store
from pipeline.times import epoch_ms, rfc3339
from pipeline.tracks import ALL
from workers.api.errors import StoreUnavailable, UnknownTrack
from workers.api.query import DAY, HOUR, MINUTE, Window, fit_step
from workers.api.staleness import staleness

CHART_BUCKETS = 120
HISTORY_DAYS = 366
"""How far back from the newest post "all of it" looks."""
TEXT_CHARACTERS = 1000
PICTURE_BYTES = 64_000
LAG_KEPT_SECONDS = 10.0
"""What was read of the lag longer ago than this is not told any more."""

log = logging.getLogger(__name__)

Missing = Literal["unplaced", "gone", "unreachable"]
"""Where an exemplar's post is: its place was not recorded; no longer kept; Kafka is silent."""


class Tracks(msgspec.Struct):
    """Names of the tracks, `all` first."""

    tracks: list[str]


class Total(Counts):
    """Counts over all time, and how far they may be trusted: see `Staleness`."""

    stale: bool = False
    stale_since: str | None = None
    behind: int | None = None


class Series(msgspec.Struct):
    """Buckets that hold posts, within [from, to), epoch seconds; `step` is their width."""

    stale: bool
    stale_since: str | None
    behind: int | None
    track: str
    start: int = msgspec.field(name="from")
    end: int = msgspec.field(name="to")
    step: int
    buckets: list[Bucket]


class Snapshot(Series):
    """All that a client of the stream needs to begin."""

    totals: Counts
    freshness: Freshness
    lag: dict[str, LagOfGroup] | None
    """By stage; null where Kafka does not answer."""


class Delta(msgspec.Struct):
    """Buckets that changed, with their present values: applying it twice changes nothing."""

    stale: bool
    stale_since: str | None
    behind: int | None
    track: str
    step: int
    buckets: list[Bucket]
    totals: Counts
    freshness: Freshness
    lag: dict[str, LagOfGroup] | None


class Attachment(msgspec.Struct):
    """One attachment; `picture` is a data URL of the small JPEG that the post carries."""

    kind: str
    alt: str | None
    picture: str | None


class ShownPost(msgspec.Struct):
    """An exemplar with what its author published, where that is still retained."""

    id: str
    created_at: str
    platform: str
    lang: str | None
    dominant: str
    polarity: str
    confidence: float
    sentiment: float
    modalities: tuple[str, ...]
    conflict: float
    abstained: bool
    text: str | None
    missing: Missing | None
    """Why the text, the address and the media are not here; null where they are."""
    truncated: bool
    url: str | None
    media: list[Attachment]


class Posts(msgspec.Struct):
    """Exemplars, newest first."""

    track: str
    emotion: str | None
    posts: list[ShownPost]


class Now(msgspec.Struct):
    """How current the counts are, and what waits."""

    stale: bool
    stale_since: str | None
    behind: int | None
    freshness: Freshness
    lag: dict[str, LagOfGroup] | None


class Views:
    """Read-only views of one store. The lag is told from outside, since reading it can take long.

    Args:
        clock: seconds that never go back.
    """

    def __init__(
        self, store: Store, posts: PostReader, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._posts = posts
        self._clock = clock
        self.changes = store.changes
        self._lag: LagReading | None = None
        self._lag_at = 0.0
        self.trouble: str | None = None
        """Why the store did not answer when somebody last looked; None where it did."""

    def look(self) -> None:
        """Read a little of the store as every route does, and note whether that went well.

        Raises:
            RedisError: it did not.
        """
        try:
            self._store.freshness()
        except Exception as error:
            self.trouble = f"The store does not answer: {error}"
            raise
        self.trouble = None

    def store_answers(self) -> None:
        """Raises:
        StoreUnavailable: the store did not answer when somebody last looked.
        """
        if self.trouble is not None:
            raise StoreUnavailable(self.trouble)

    def told_lag(self, reading: LagReading) -> None:
        """Take in what was read of the lag just now."""
        self._lag_at, self._lag = self._clock(), reading

    @property
    def lag(self) -> dict[str, LagOfGroup] | None:
        """The lag by stage; None where it was not read for a while, as when Kafka is silent."""
        known = self._known_lag()
        return None if known is None else known.stages

    def _known_lag(self) -> LagReading | None:
        return self._lag if self._clock() - self._lag_at <= LAG_KEPT_SECONDS else None

    def now(self) -> Now:
        """How current the counts are."""
        freshness = self._store.freshness()
        return Now(**self._trust(freshness), freshness=freshness, lag=self.lag)

    def tracks(self) -> Tracks:
        """Every track that ever had a post, and `all`."""
        names = self._store.tracks()
        return Tracks([ALL, *(name for name in names if name != ALL)])

    def known(self, track: str) -> str:
        """The track itself.

        Raises:
            UnknownTrack: it never had a post.
        """
        names = self.tracks().tracks
        if track not in names:
            raise UnknownTrack(track, names)
        return track

    def newest(self) -> int:
        """Epoch second of the newest event counted; 0 before the first."""
        return (self._store.freshness().last_event_ms or 0) // 1000

    def totals(self, track: str | None) -> dict[str, Total]:
        """Counts over all time by track; `all` is there unless another track is asked for."""
        found = self._store.totals(None if track is None else [track])
        if track is None:
            found = {ALL: Counts()} | found
        trust = self._trust(self._store.freshness())
        return {
            name: Total(**msgspec.structs.asdict(counts), **trust) for name, counts in found.items()
        }

    def _trust(self, fresh: Freshness) -> dict[str, Any]:
        known = self._known_lag()
        ends = None if known is None else known.ends
        return msgspec.structs.asdict(staleness(fresh, ends, time.time_ns() // 1_000_000))

    def series(self, track: str, window: Window) -> Series:
        """The buckets of a window."""
        return Series(
            **self._trust(self._store.freshness()),
            track=track,
            start=window.start,
            end=window.end,
            step=window.step,
            buckets=self._store.series(track, window.start, window.end, window.step),
        )

    def span(self, track: str) -> int:
        """Seconds from the first hour with posts, within HISTORY_DAYS, to the newest event."""
        newest = self.newest()
        days = self._store.series(track, newest - HISTORY_DAYS * DAY, newest + 1, DAY)
        if not days:
            return DAY
        # Hours are not kept as long as days are.
        hours = self._store.series(track, days[0].start, days[0].start + DAY, HOUR)
        return newest - (hours or days)[0].start + 1

    def snapshot(self, track: str, step: int, span: int) -> Snapshot:
        """The last `span` seconds before the newest event, in buckets of `step` seconds."""
        freshness = self._store.freshness()
        newest = (freshness.last_event_ms or 0) // 1000
        end = (newest // step + 1) * step
        start = (end - span) // step * step
        return Snapshot(
            **self._trust(freshness),
            track=track,
            start=start,
            end=end,
            step=step,
            buckets=self._store.series(track, start, end, step),
            totals=self._store.totals([track])[track],
            freshness=freshness,
            lag=self.lag,
        )

    def delta(self, track: str, step: int, starts: Sequence[int]) -> Delta:
        """The present values of the buckets that begin at `starts`."""
        freshness = self._store.freshness()
        return Delta(
            **self._trust(freshness),
            track=track,
            step=step,
            buckets=self._present(track, step, starts),
            totals=self._store.totals([track])[track],
            freshness=freshness,
            lag=self.lag,
        )

    def _present(self, track: str, step: int, starts: Sequence[int]) -> list[Bucket]:
        if step == 60:
            return self._store.buckets(track, starts)
        found = (self._store.series(track, start, start + step, step) for start in starts)
        return [bucket for buckets in found for bucket in buckets]

    def posts(self, track: str, emotion: str | None, limit: int) -> Posts:
        """Exemplars with their texts."""
        return Posts(track, emotion, self._with_texts(self._store.exemplars(track, emotion, limit)))

    def alert_posts(self, alert: Alert) -> list[ShownPost]:
        """The exemplars of an alert with their texts; those that the store still knows."""
        wanted = dict.fromkeys(alert.evidence.exemplars)
        onset, end = (epoch_ms(moment) // 1000 for moment in (alert.onset, alert.updated_at))
        found: dict[str, Exemplar] = {}
        for minute in range(max(onset, end - HOUR), end, MINUTE):
            if len(found) == len(wanted):
                break
            for exemplar in self._store.bucket_exemplars(alert.track, minute):
                if exemplar.id in wanted:
                    found[exemplar.id] = exemplar
        return self._with_texts([found[post] for post in wanted if post in found])

    def _with_texts(self, exemplars: Sequence[Exemplar]) -> list[ShownPost]:
        places = [place for place in map(_place, exemplars) if place is not None]
        missing: Missing = "gone"
        try:
            kept = self._posts.read_many(places)
        except (KafkaError, KeyError) as error:
            # kafka-python raises KeyError where a partition's offset was not answered.
            log.warning("the texts of posts cannot be read: %r", error)
            kept, missing = {}, "unreachable"
        shown = []
        for exemplar in exemplars:
            place = _place(exemplar)
            post = kept.get(place) if place else None
            same = post is not None and post.id == exemplar.id
            why = None if same else missing if place else "unplaced"
            shown.append(_shown(exemplar, post if same else None, why))
        return shown


def _place(exemplar: Exemplar) -> Place | None:
    if exemplar.partition is None or exemplar.offset is None:
        return None
    return exemplar.partition, exemplar.offset


def _shown(exemplar: Exemplar, post: Post | None, missing: Missing | None) -> ShownPost:
    text = post.text if post else None
    return ShownPost(
        id=exemplar.id,
        created_at=rfc3339(exemplar.created_at),
        platform=exemplar.platform,
        lang=exemplar.lang,
        dominant=exemplar.dominant,
        polarity=exemplar.polarity,
        confidence=exemplar.confidence,
        sentiment=exemplar.sentiment,
        modalities=exemplar.modalities,
        conflict=exemplar.conflict,
        abstained=exemplar.abstained,
        text=text and text[:TEXT_CHARACTERS],
        missing=missing,
        truncated=text is not None and len(text) > TEXT_CHARACTERS,
        url=web_address(post.url) if post else None,
        media=[_attachment(media) for media in post.media] if post else [],
    )


def stream_step(span: int) -> int:
    """The bucket width that draws `span` seconds with at most CHART_BUCKETS points."""
    return fit_step(span, CHART_BUCKETS)


def web_address(url: str | None) -> str | None:
    """`url` if it is an http(s) address: no other scheme is ever offered as a link."""
    try:
        parts = urlsplit(url or "")
    except ValueError:
        return None
    return url if parts.scheme in {"http", "https"} and parts.hostname else None


def _attachment(media: Media) -> Attachment:
    picture = None
    if media.kind == "image" and media.data and len(media.data) <= PICTURE_BYTES:
        picture = "data:image/jpeg;base64," + base64.b64encode(media.data).decode()
    return Attachment(media.kind, media.alt, picture)
