"""The way from raw topics to alerts in memory, in steps of a second, with the clock in hand.

Ingest and infer read as Kafka's consumers do: a run of one partition, then of the next.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import msgspec
from kafka import TopicPartition

from pipeline.alerts.alert import Alert
from pipeline.alerts.backtest import Backtest
from pipeline.alerts.rules import Rules
from pipeline.event import SentimentEvent
from pipeline.headers import Headers
from pipeline.post import encoder
from pipeline.rollups import Arrived, decoder
from pipeline.telemetry import Telemetry
from pipeline.topics import POSTS, ROLLUPS, SENTIMENT
from workers.monitor.combine import Combine
from workers.monitor.frontier import Look, Stage
from workers.monitor.shard import Shard, Step

PARTITIONS = 4
RUN = 500
LATENESS_MS = 120_000
RULES = Rules()


@dataclass
class Read:
    """A record of `sentiment`."""

    partition: int
    offset: int
    value: bytes
    timestamp: int
    headers: Headers
    topic: str = SENTIMENT
    key: bytes | None = None


@dataclass
class Post:
    """A post, and when it reached its raw topic: seconds of the simulation."""

    event: SentimentEvent
    arrived: float


@dataclass
class Partition:
    """A log and the place of its reader."""

    log: list[Post] = field(default_factory=list)
    done: int = 0


@dataclass
class Member:
    """A monitor process: its partitions of `sentiment`."""

    combine: Combine
    partitions: frozenset[int]


def murmur2(event: SentimentEvent) -> int:
    """The partition that ingest chooses; in name only."""
    return zlib.crc32(b"m" + event.id.encode()) % PARTITIONS


def crc32(event: SentimentEvent) -> int:
    """That of a producer with another partitioner."""
    return zlib.crc32(event.id.encode()) % PARTITIONS


class System:
    """`raw` are the raw partitions, each in the order of arrival.

    Args:
        origin: the time of day at second 0.
        ingest, infer: posts a second at a given second; 0: it is away.
    """

    def __init__(
        self,
        raw: Sequence[Iterable[Post]],
        origin: datetime,
        *,
        ingest: Callable[[float], int] = lambda now: 5000,
        infer: Callable[[float], int] = lambda now: 150,
        members: int = 1,
        stages: bool = True,
    ) -> None:
        self.now = 0.0
        self._origin = origin.timestamp()
        self._coming = [list(posts) for posts in raw]
        self._sent = [0] * len(raw)
        self.raw = [Partition() for _ in raw]
        self.posts = [Partition() for _ in range(PARTITIONS)]
        self.sentiment = [Partition() for _ in range(PARTITIONS)]
        self._rates = (ingest, infer)
        self._known = stages
        self._at: dict[int, int] = {}
        self.shard, self.step = Shard(PARTITIONS, LATENESS_MS), Step()
        self.fired: dict[str, float] = {}
        self._looked_at: list[Arrived] = []
        self._members: list[Member] = []
        self.begin(members)

    def begin(self, members: int) -> None:
        """So many monitors take over: they know what is committed, and nothing else."""
        self._members = [
            self._member(frozenset(range(number, PARTITIONS, members))) for number in range(members)
        ]

    def run(self, seconds: float) -> None:
        """Let time pass."""
        end = self.now + seconds
        while self.now < end:
            self._second()

    def _member(self, partitions: frozenset[int]) -> Member:
        combine = Combine(
            idle_seconds=5.0,
            lateness_ms=LATENESS_MS,
            targets=1,
            assigned=lambda: partitions,
            upstream=self._look,
            telemetry=Telemetry("monitor"),
            clock=lambda: self.now,
            wall=lambda: self._origin + self.now,
        )
        return Member(combine, partitions)

    def _second(self) -> None:
        for number, posts in enumerate(self._coming):
            at = self._sent[number]
            while at < len(posts) and posts[at].arrived <= self.now:
                at += 1
            self.raw[number].log += posts[self._sent[number] : at]
            self._sent[number] = at
        self._handle(0, self.raw, self.posts, murmur2)
        self._handle(1, self.posts, self.sentiment, murmur2)
        for member in self._members:
            self._combine(member)
        self.now += 1

    def _handle(
        self,
        stage: int,
        source: Sequence[Partition],
        target: Sequence[Partition],
        key: Callable[[SentimentEvent], int],
    ) -> None:
        """One second of a stage: runs of one partition after the other."""
        left = self._rates[stage](self.now)
        number = self._at.get(stage, 0)
        for _ in source:
            each = source[number % len(source)]
            run = each.log[each.done : each.done + min(left, RUN)]
            each.done += len(run)
            left -= len(run)
            for post in run:
                target[key(post.event)].log.append(post)
            if not left and each.done < len(each.log):
                break
            number += 1
        self._at[stage] = number % len(source)

    def _look(self) -> Look | None:
        if not self._known:
            return None
        return Look(
            self.now - 0.001,
            [
                _stage("ingest", "posts.raw.x", self.raw),
                _stage("infer", POSTS, self.posts),
                _stage("monitor-combine", SENTIMENT, self.sentiment),
            ],
        )

    def _combine(self, member: Member) -> None:
        records: list[Read] = []
        now_ms = int((self._origin + self.now) * 1000)
        for number in member.partitions:
            each = self.sentiment[number]
            for offset in range(each.done, len(each.log)):
                post = each.log[offset]
                self._looked_at.append(Arrived(post.event, now_ms))
                received = int((self._origin + post.arrived) * 1000)
                headers = [("ce_received", b"%d" % received)]
                value = encoder.encode(post.event)
                records.append(Read(number, offset, value, now_ms, headers))
        answers = member.combine(records) if records else member.combine.pause()
        for number in member.partitions:
            # Committed with the answers, and seen by the next look.
            self.sentiment[number].done = len(self.sentiment[number].log)
        known = len(self.step.alerts)
        for out in answers:
            assert out.topic == ROLLUPS
            self.shard.take(decoder.decode(out.value or b""), RULES, self.step)
        for alert in self.step.alerts[known:]:
            if alert.state == "fired":
                self.fired[alert.id] = self.now

    def replayed(self) -> dict[str, list[bytes]]:
        """What a replay over the same events says."""
        end = datetime.fromtimestamp(self._origin + self.now, UTC) + timedelta(minutes=1)
        backtest = Backtest(end)
        backtest.add(self._looked_at)
        return by_id(alert for changes in backtest.judge(RULES) for alert in changes)

    def live(self) -> dict[str, list[bytes]]:
        """What was said."""
        return by_id(self.step.alerts)

    @property
    def late(self) -> int:
        """Posts that were counted late."""
        return sum(monitor.counts.late for monitor in self.shard.tracks.values())


def by_id(alerts: Iterable[Alert]) -> dict[str, list[bytes]]:
    """Every state as bytes, in the order of each alert."""
    found: dict[str, list[bytes]] = {}
    for alert in alerts:
        found.setdefault(alert.id, []).append(msgspec.json.encode(alert))
    return found


def _stage(name: str, topic: str, partitions: Sequence[Partition]) -> Stage:
    places = [TopicPartition(topic, number) for number in range(len(partitions))]
    ends = {place: len(each.log) for place, each in zip(places, partitions, strict=True)}
    done = {place: each.done for place, each in zip(places, partitions, strict=True)}
    return Stage(name, ends, done)


def spread(
    events: Iterable[SentimentEvent],
    key: Callable[[SentimentEvent], int],
    arrived: Callable[[SentimentEvent], float],
    topics: int = 1,
) -> list[list[Post]]:
    """The raw partitions of so many topics, which take turns."""
    raw: list[list[Post]] = [[] for _ in range(topics * PARTITIONS)]
    for number, event in enumerate(events):
        raw[number % topics * PARTITIONS + key(event)].append(Post(event, arrived(event)))
    return raw
