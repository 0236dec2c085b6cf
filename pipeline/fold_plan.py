"""The arguments of one call of fold.lua: what a batch changes in the store."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from pipeline.buckets import EXEMPLARS_A_BUCKET, NEWEST_KEPT, Deltas, Exemplar
from pipeline.keys import EXEMPLAR_SECONDS, Keys, deleted_around, member_of

_LIFE = {"m": EXEMPLAR_SECONDS, "h": 100 * 86_400, "d": 0}
"""Seconds that a bucket of each level outlives its last write; 0 for ever."""
_CHANGES_A_ENTRY = 500


class Plan:
    """The arguments of one call of fold.lua."""

    def __init__(self, keys: Keys) -> None:
        self._names = keys
        self.keys = [keys.position, keys.changes, keys.tracks]
        self.counters: list[list[Any]] = []
        self._seen: list[list[Any]] = []
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

    def keep(
        self, deltas: Deltas, timestamp: int, needs: Mapping[str, tuple[str, ...]] | None = None
    ) -> None:
        """Keep exemplars but for posts that are deleted; `timestamp` of the batch, epoch ms, and
        what each goes with, by id.
        """
        suspects: dict[str, list[str]] = defaultdict(list)
        for exemplar in kept_of(deltas):
            member = member_of(exemplar.id)
            whole = msgspec.structs.replace(exemplar, needs=(needs or {}).get(exemplar.id, ()))
            self._posts[str(member)] = msgspec.json.encode(whole).decode()
            for generation in deleted_around(timestamp):
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
            "shown": self._names.shown,
            "posts": self._posts,
            "life": _LIFE["m"],
            "suspects": self._suspects,
            "bounded": self._bounded,
        }
        return msgspec.msgpack.encode(plan)


def kept_of(deltas: Deltas) -> list[Exemplar]:
    """The exemplars that a batch brings, each once."""
    newest = (exemplar for latest in deltas.newest.values() for _, exemplar in latest)
    every = itertools.chain(*deltas.by_bucket.values(), newest)
    return list({exemplar.id: exemplar for exemplar in every}.values())


def flat(fields: dict[str, int]) -> list[Any]:
    """The fields that change something, each before its amount."""
    return [part for pair in fields.items() if pair[1] for part in pair]


def _members(scored: Iterable[tuple[float, Exemplar]]) -> list[Any]:
    return [part for score, exemplar in scored for part in (score, str(member_of(exemplar.id)))]
