"""The arguments of one call of fold.lua: what a batch changes in the store."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import msgspec

from pipeline.buckets import EXEMPLARS_A_BUCKET, NEWEST_KEPT, Deltas, Exemplar
from pipeline.keys import Keys, member_of

_LIFE = {"m": 8 * 86_400, "h": 100 * 86_400, "d": 0}
"""Seconds that a bucket of each level outlives its last write; 0 for ever."""
_DELETED_MS = 16 * 86_400_000
"""A generation of deletions: twice as long as an exemplar is kept. The event of a post and its
deletion find each other in either order as long as there are no more than 8 days between them."""
_CHANGES_A_ENTRY = 500


class Plan:
    """The arguments of one call of fold.lua."""

    def __init__(self, keys: Keys) -> None:
        self._names = keys
        self.keys = [keys.position, keys.changes, keys.tracks]
        self.counters: list[list[Any]] = []
        self._seen: list[list[Any]] = []
        self._deleted: list[list[Any]] = []
        self._posts: dict[str, str] = {}
        self._suspects: list[list[Any]] = []
        self._bounded: list[list[Any]] = []

    def _index(self, key: str) -> int:
        self.keys.append(key)
        return len(self.keys)

    def count(self, deltas: Deltas) -> None:
        """Add to the counters of buckets and tracks."""
        for key, fields in deltas.buckets.items():
            index = self._index(self._names.bucket(key))
            self.counters.append([index, _LIFE[key.level], *flat(fields)])
        for track, fields in deltas.totals.items():
            self.counters.append([self._index(self._names.total(track)), 0, *flat(fields)])

    def keep(self, deltas: Deltas, timestamp: int) -> None:
        """Keep exemplars but for posts that are deleted; `timestamp` of the batch, epoch ms."""
        suspects: dict[str, list[str]] = defaultdict(list)
        newest = (exemplar for kept in deltas.newest.values() for _, exemplar in kept)
        every = itertools.chain(*deltas.by_bucket.values(), newest)
        for exemplar in {exemplar.id: exemplar for exemplar in every}.values():
            member = member_of(exemplar.id)
            self._posts[str(member)] = msgspec.json.encode(exemplar).decode()
            for generation in _deleted_around(timestamp):
                suspects[self._names.deleted(generation, member)].append(str(member))
        self._suspects += [[self._index(name), *members] for name, members in suspects.items()]
        for (track, minute), kept in deltas.by_bucket.items():
            index = self._index(self._names.exemplars(track, minute))
            row = [index, _LIFE["m"], EXEMPLARS_A_BUCKET]
            self._bounded.append(row + _members((e.confidence, e) for e in kept))
        for (track, emotion), latest in deltas.newest.items():
            index = self._index(self._names.newest(track, emotion))
            row = [index, _LIFE["m"], NEWEST_KEPT]
            self._bounded.append(row + _members(latest))

    def forget(self, deleted: Iterable[tuple[int, int]]) -> None:
        """Forget the exemplars of deleted posts, given their id hashes and the time of the record
        that says so, epoch ms."""
        rows: dict[str, list[str]] = defaultdict(list)
        for member, timestamp in deleted:
            rows[self._names.deleted(timestamp // _DELETED_MS, member)].append(str(member))
        life = 2 * _DELETED_MS // 1000
        self._deleted += [[self._index(name), life, *members] for name, members in rows.items()]

    def remember(self, seen: dict[str, list[int]], life: int) -> None:
        """Remember ids and versions by the set that holds them, for `life` seconds."""
        for key, members in seen.items():
            self._seen.append([self._index(key), max(1, life), *map(str, members)])

    def encode(self, deltas: Deltas, state: dict[str, int]) -> bytes:
        """The plan as MessagePack; `state` is what the position says afterwards."""
        minutes = sorted({f"{k.start} {k.track}" for k in deltas.buckets if k.level == "m"})
        chunks = range(0, len(minutes), _CHANGES_A_ENTRY)
        plan = {
            "position": [text for pair in state.items() for text in map(str, pair)],
            "tracks": list(deltas.totals),
            "changes": ["\n".join(minutes[at : at + _CHANGES_A_ENTRY]) for at in chunks],
            "counters": self.counters,
            "seen": self._seen,
            "deleted": self._deleted,
            "shown": self._names.shown,
            "posts": self._posts,
            "life": _LIFE["m"],
            "suspects": self._suspects,
            "bounded": self._bounded,
        }
        return msgspec.msgpack.encode(plan)


def _deleted_around(timestamp: int) -> tuple[int, int]:
    """The generations of deletions within half of one of this time (epoch ms)."""
    generation, into = divmod(timestamp, _DELETED_MS)
    return generation, generation + (1 if 2 * into >= _DELETED_MS else -1)


def flat(fields: dict[str, int]) -> list[Any]:
    """The fields that change something, each before its amount."""
    return [part for pair in fields.items() if pair[1] for part in pair]


def _members(scored: Iterable[tuple[float, Exemplar]]) -> list[Any]:
    return [part for score, exemplar in scored for part in (score, str(member_of(exemplar.id)))]
