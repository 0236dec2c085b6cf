"""Reading the live aggregates. Every read sums over the partitions; nothing here writes."""

from __future__ import annotations

import heapq
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import urlsplit

import msgspec
import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from pipeline.buckets import LEVELS, MINUTE, Bucket, BucketKey, Counts, Exemplar, counts_of
from pipeline.errors import ServerUnavailable, WeathervaneError
from pipeline.event import EMOTIONS
from pipeline.keys import Keys, member_of

DELAY_SECONDS = 60.0
"""A delay that was measured longer ago than this is not one of now."""
COMMAND_SECONDS = 5.0
"""Longest wait of a command, for which a person waits, for one answer."""
_exemplars = msgspec.json.Decoder(Exemplar)


class CursorTrimmed(WeathervaneError):
    """Changes after the cursor are no longer kept, or the store is another: read a snapshot."""


class Freshness(msgspec.Struct):
    """How current the store is."""

    last_event_ms: int | None
    """Newest event time counted, epoch milliseconds."""
    delay_seconds: float | None
    """From the arrival of a post in Kafka to its being counted, for the newest batch of each
    partition; null where nothing was counted in the last minute."""
    complete_ms: int | None
    """Epoch milliseconds: what reached `sentiment` before this is counted. Null where the store
    does not know it of every partition, as after it came back empty."""
    positions: dict[int, int]
    """Next offset of `sentiment` by partition."""
    reached: dict[int, int]
    """The same, past the transaction markers that were behind the last record."""
    events: int
    duplicates: int
    edited: int
    late: int
    shed: int
    """Posts of `shed`."""


class Store:
    """The aggregates of one namespace. Thread-safe.

    Raises redis-py's errors where the store does not answer.
    """

    def __init__(self, client: redis.Redis, namespace: str = "wv") -> None:
        self._client = client
        self._namespace = namespace

    @classmethod
    def connect(cls, url: str, namespace: str = "wv", seconds: float | None = None) -> Store:
        """A store at a `redis://` or `rediss://` URL, for reading; nothing is sent yet.

        With `seconds` no command waits longer for the store, and none is repeated.
        """
        return cls(connect(url, seconds), namespace)

    def tracks(self) -> list[str]:
        """Names of the tracks that ever had a post, `all` first."""
        sets = self._pipeline(("SMEMBERS", keys.tracks) for keys in self._partitions())
        names = {name.decode() for members in sets for name in members}
        return sorted(names, key=lambda name: (name != "all", name))

    def totals(self, tracks: Sequence[str] | None = None) -> dict[str, Counts]:
        """Counts over all time, of the given tracks or of every one."""
        names = self.tracks() if tracks is None else list(tracks)
        partitions = self._partitions()
        rows = self._fields(keys.total(name) for name in names for keys in partitions)
        width = len(partitions)
        return {
            name: counts_of(rows[at * width : (at + 1) * width]) for at, name in enumerate(names)
        }

    def series(self, track: str, start: int, end: int, step: int) -> list[Bucket]:
        """The buckets of [start, end) that hold posts, each `step` seconds wide.

        `step` is a multiple of 60; the widest stored level that divides it is read. Buckets begin
        at multiples of `step` in UTC.
        """
        level = max((name for name in LEVELS if step % LEVELS[name] == 0), key=LEVELS.__getitem__)
        width = LEVELS[level]
        starts = range(start - start % step, end, width)
        partitions = self._partitions()
        rows = self._fields(
            keys.bucket(BucketKey(level, at, track)) for at in starts for keys in partitions
        )
        grouped: dict[int, list[dict[str, int]]] = {}
        for index, fields in enumerate(rows):
            if fields:
                at = starts[index // len(partitions)]
                grouped.setdefault(at - at % step, []).append(fields)
        return [Bucket(at, counts_of(fields)) for at, fields in sorted(grouped.items())]

    def buckets(self, track: str, starts: Sequence[int]) -> list[Bucket]:
        """The minute buckets that begin at `starts`, empty ones included."""
        partitions = self._partitions()
        rows = self._fields(
            keys.bucket(BucketKey("m", at, track)) for at in starts for keys in partitions
        )
        width = len(partitions)
        return [
            Bucket(at, counts_of(rows[index * width : (index + 1) * width]))
            for index, at in enumerate(starts)
        ]

    def exemplars(self, track: str, emotion: str | None, limit: int) -> list[Exemplar]:
        """The newest posts of a track by event time, of one dominant emotion or of all."""
        emotions = EMOTIONS if emotion is None else (emotion,)
        places = [(k.newest(track, name), k) for k in self._partitions() for name in emotions]
        # As many again: some may be deleted.
        names = self._named(places, 2 * limit)
        newest = heapq.nlargest(2 * limit, names, key=lambda pair: pair[1])
        return self._exemplars(name for name, _ in newest)[:limit]

    def bucket_exemplars(self, track: str, minute: int) -> list[Exemplar]:
        """The posts kept for one minute bucket, the most confident first."""
        places = [(k.exemplars(track, minute - minute % MINUTE), k) for k in self._partitions()]
        names = sorted(self._named(places), key=lambda pair: -pair[1])
        return self._exemplars(name for name, _ in names)

    def holds(self, ids: Collection[str]) -> bool:
        """Whether any of these posts is an exemplar still."""
        members = [member_of(post_id) for post_id in ids]
        names = [f"{keys.shown}{member}" for keys in self._partitions() for member in members]
        return any(self._pipeline(("EXISTS", name) for name in names))

    def changes(self, cursor: str = "") -> tuple[list[tuple[str, int]], str]:
        """Which (track, minute start) changed after the cursor, and the cursor after them.

        An empty cursor stands for now: no changes, and the cursor to go on from.

        Raises:
            CursorTrimmed: the cursor is no cursor, or older than what is kept.
        """
        partitions = self._partitions()
        lasts = self._pipeline(("XREVRANGE", k.changes, "+", "-", "COUNT", 1) for k in partitions)
        ends = [entries[0][0].decode() if entries else "0-0" for entries in lasts]
        new_cursor = "_".join(
            f"{keys.partition}.{end}" for keys, end in zip(partitions, ends, strict=True)
        )
        if not cursor:
            return [], new_cursor
        after = _parse_cursor(cursor)
        self._check_cursor(partitions, after, ends)
        moved = [k for k, end in zip(partitions, ends, strict=True) if after[k.partition] != end]
        streams = self._pipeline(
            ("XRANGE", k.changes, f"({after[k.partition]}", ends[partitions.index(k)])
            for k in moved
        )
        changed: dict[tuple[str, int], None] = {}
        for entries in streams:
            for _, fields in entries:
                for line in fields[b"c"].decode().split("\n"):
                    minute, _, track = line.partition(" ")
                    changed[track, int(minute)] = None
        return list(changed), new_cursor

    def freshness(self, now_ms: int | None = None) -> Freshness:
        """How current the store is, over all partitions; `now_ms` is that of the clock (epoch
        milliseconds) unless given."""
        since = (time.time_ns() // 1_000_000 if now_ms is None else now_ms) - DELAY_SECONDS * 1000
        partitions = self._partitions()
        names = (
            "offset",
            "watermark",
            "delay_ms",
            "events",
            "duplicates",
            "edited",
            "late",
            "complete_ms",
            "reached",
            "delay_at_ms",
        )
        rows = self._pipeline(("HMGET", keys.position, *names) for keys in partitions)
        shed = self._pipeline(("HGET", keys.shed, "posts") for keys in partitions)
        complete = [int(row[7]) for row in rows if row[7]]
        known = [
            (keys.partition, [int(value or 0) for value in row])
            for keys, row in zip(partitions, rows, strict=True)
            if row[0] is not None
        ]
        newest = max((values[1] for _, values in known), default=0)
        return Freshness(
            last_event_ms=newest or None,
            delay_seconds=max((v[2] / 1000 for _, v in known if v[9] > since), default=None),
            complete_ms=min(complete) if complete and len(complete) == len(rows) else None,
            positions={partition: values[0] for partition, values in known},
            reached={partition: max(values[0], values[8]) for partition, values in known},
            events=sum(values[3] for _, values in known),
            duplicates=sum(values[4] for _, values in known),
            edited=sum(values[5] for _, values in known),
            late=sum(values[6] for _, values in known),
            shed=sum(int(posts or 0) for posts in shed),
        )

    def _partitions(self) -> list[Keys]:
        members: Any = self._client.smembers(f"{self._namespace}:partitions")
        return [Keys(self._namespace, partition) for partition in sorted(map(int, members))]

    def _check_cursor(self, partitions: list[Keys], after: dict[int, str], ends: list[str]) -> None:
        if set(after) != {keys.partition for keys in partitions}:
            raise CursorTrimmed("the cursor is of another set of partitions")
        firsts = self._pipeline(("XRANGE", k.changes, "-", "+", "COUNT", 1) for k in partitions)
        for keys, entries, end in zip(partitions, firsts, ends, strict=True):
            cursor = _stream_id(after[keys.partition])
            first = _stream_id(entries[0][0].decode()) if entries else (0, 0)
            if cursor > _stream_id(end) or (cursor < first and cursor != (0, 0)):
                raise CursorTrimmed("the changes after the cursor are no longer kept")

    def _fields(self, keys: Iterable[str]) -> list[dict[str, int]]:
        rows = self._pipeline(("HGETALL", key) for key in keys)
        return [{name.decode(): int(amount) for name, amount in row.items()} for row in rows]

    def _pipeline(self, commands: Iterable[tuple[Any, ...]]) -> list[Any]:
        pipe = self._client.pipeline(transaction=False)
        for command in commands:
            pipe.execute_command(*command)  # type: ignore[no-untyped-call]
        return list(pipe.execute())

    def _named(self, places: Sequence[tuple[str, Keys]], limit: int = 0) -> list[tuple[str, float]]:
        """Names of the exemplars that sorted sets hold, with their scores; the highest of each."""
        found = self._pipeline(("ZREVRANGE", key, 0, limit - 1, "WITHSCORES") for key, _ in places)
        return [
            (keys.shown + member.decode(), float(score))
            for (_, keys), members in zip(places, found, strict=True)
            for member, score in zip(members[::2], members[1::2], strict=True)
        ]

    def _exemplars(self, names: Iterable[str]) -> list[Exemplar]:
        """Those of these names that are there still and not hidden, in their order."""
        found = self._pipeline(("HGET", name, "j") for name in names)
        kept = [_exemplars.decode(value) for value in found if value is not None]
        needs = dict.fromkeys(need for exemplar in kept for need in exemplar.needs)
        places = (need.partition(":") for need in needs)
        keys = (Keys(self._namespace, int(part)).state(int(member)) for part, _, member in places)
        states = self._pipeline(("HGET", key, "s") for key in keys)
        hidden = {need for need, state in zip(needs, states, strict=True) if state == b"hide"}
        return [exemplar for exemplar in kept if hidden.isdisjoint(exemplar.needs)]


def connect(url: str, seconds: float | None = None) -> redis.Redis:
    """A client with the time-outs that every worker uses (seconds).

    A command is repeated once, not redis-py's ten times: a fold that was applied is refused when
    it is repeated, and a worker that waits for minutes in one call looks dead. Who has to answer
    somebody else gives `seconds`, which bound each wait for the store; nothing is repeated then.
    """
    return redis.Redis.from_url(
        url,
        socket_timeout=seconds or 10,
        socket_connect_timeout=seconds or 5,
        # A look before each command would be one more wait for a store that hangs.
        health_check_interval=0 if seconds else 30,
        retry=Retry(ConstantBackoff(0.1), 0 if seconds else 1),
        protocol=2,
    )


@contextmanager
def asked(url: str, seconds: float = COMMAND_SECONDS) -> Iterator[redis.Redis]:
    """A client for a command: no answer is waited for longer than `seconds`.

    Raises:
        ServerUnavailable: one did not come in time, in the block.
    """
    with closing(connect(url, seconds)) as client:
        try:
            yield client
        except redis.TimeoutError as error:
            parts = urlsplit(url)
            raise ServerUnavailable(
                f"Redis at {parts.hostname}:{parts.port or 6379} does not answer within "
                f"{seconds:g} s"
            ) from error


def _parse_cursor(cursor: str) -> dict[int, str]:
    try:
        pairs = (part.split(".", 1) for part in cursor.split("_"))
        positions = {int(partition): entry for partition, entry in pairs}
        for entry in positions.values():
            _stream_id(entry)
    except ValueError as error:
        raise CursorTrimmed(f"{cursor[:80]!r} is no cursor") from error
    return positions


def _stream_id(text: str) -> tuple[int, int]:
    milliseconds, _, sequence = text.partition("-")
    return int(milliseconds), int(sequence)
