"""What goes with a deleted or hidden post or author: its copies, wherever the store has them.

A copy lies in the partition of its own id, what it goes with in another, and one script sees the
keys of one partition only. So each exemplar is entered with what it goes with (`of`), in one step
that also tells whether that is deleted already; a deletion is marked and the entries are read in
one step likewise. Whichever of the two comes first, the second one sees it. Every step may be
repeated, and is, after a crash: nothing moves before it.

A copy of a copy goes as well, as far as what is between the two is an exemplar.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from importlib.resources import files
from typing import Any, NamedTuple

import msgspec
import redis
from kafka.partitioner import murmur2

from pipeline.event import SentimentEvent
from pipeline.keys import (
    DELETED_MS,
    EXEMPLAR_SECONDS,
    Keys,
    author_member_of,
    deleted_around,
    member_of,
)
from pipeline.notice import Action
from pipeline.pseudonym import authors_of


class Place(NamedTuple):
    """Where the store keeps what it knows of a post or an author."""

    partition: int
    member: int

    def __str__(self) -> str:
        return f"{self.partition}:{self.member}"


class Cascade:
    """The dependences between exemplars and posts and authors. `partitions`: of `deletions`."""

    def __init__(self, client: redis.Redis, namespace: str = "wv") -> None:
        self.partitions = 1
        self._client = client
        self._namespace = namespace
        self._enter = client.register_script(_script("enter.lua"))
        self._doom = client.register_script(_script("doom.lua"))
        self._state = client.register_script(_script("state.lua"))

    def post(self, post_id: str) -> Place:
        """Of a post: the partition that Kafka's default partitioner gives to its id."""
        partition = (murmur2(post_id.encode()) & 0x7FFFFFFF) % self.partitions
        return Place(partition, member_of(post_id))

    def author(self, name: str) -> Place:
        """Of an author, by a name of theirs that an event has."""
        member = author_member_of(name)
        return Place(member % self.partitions, member)

    def needs(self, event: SentimentEvent) -> list[Place]:
        """What an event's post goes with beside itself."""
        posts = [self.post(name) for name in event.deleted_with]
        return posts + [self.author(name) for name in authors_of(event)]

    def enter(self, needs: Iterable[tuple[Place, Place]], timestamp: int) -> None:
        """Enter exemplars with what they go with, pair by pair, before they are kept.

        Those of which something is deleted already go at once. `timestamp` is that of their
        records, epoch ms.
        """
        rows: dict[int, dict[Place, list[Place]]] = defaultdict(lambda: defaultdict(list))
        for exemplar, need in needs:
            rows[need.partition][need].append(exemplar)
        calls = []
        for partition, entries in rows.items():
            keys = Keys(self._namespace, partition)
            found = [
                [
                    keys.dependents(need.member),
                    str(need.member),
                    [keys.deleted(g, need.member) for g in deleted_around(timestamp)],
                    list(map(str, exemplars)),
                ]
                for need, exemplars in entries.items()
            ]
            calls.append((keys, {"life": EXEMPLAR_SECONDS, "rows": found}))
        gone = {
            exemplar
            for (partition, entries), deleted in zip(
                rows.items(), self._call(self._enter, calls), strict=True
            )
            for need, exemplars in entries.items()
            if str(need.member).encode() in set(map(_bytes, deleted))
            for exemplar in exemplars
        }
        self.doom((place, timestamp) for place in gone)

    def doom(self, deleted: Iterable[tuple[Place, int]]) -> None:
        """Delete posts and authors and all that goes with them, each with the time of the record
        that says so, epoch ms.
        """
        known: set[Place] = set()
        now = dict(deleted)
        while now:
            known |= now.keys()
            rows: dict[int, list[tuple[Place, int]]] = defaultdict(list)
            for place, timestamp in now.items():
                rows[place.partition].append((place, timestamp))
            calls = [self._dooming(partition, places) for partition, places in rows.items()]
            later: dict[Place, int] = {}
            for places, found in zip(rows.values(), self._call(self._doom, calls), strict=True):
                for (_, timestamp), dependents in zip(places, found, strict=True):
                    later |= {_place(each): timestamp for each in dependents}
            now = {place: at for place, at in later.items() if place not in known}

    def _dooming(self, partition: int, places: Sequence[tuple[Place, int]]) -> tuple[Keys, Any]:
        keys = Keys(self._namespace, partition)
        rows = [
            [
                str(place.member),
                keys.deleted(timestamp // DELETED_MS, place.member),
                keys.shown + str(place.member),
                keys.dependents(place.member),
            ]
            for place, timestamp in places
        ]
        return keys, {"life": 2 * DELETED_MS // 1000, "rows": rows}

    def set_state(self, states: Sequence[tuple[Place, Action, int]]) -> None:
        """Hide posts and authors or show them again; each with the time of the record that says
        so, epoch ms. What an earlier record says changes nothing.
        """
        rows: dict[int, list[Any]] = defaultdict(list)
        for place, action, timestamp in states:
            keys = Keys(self._namespace, place.partition)
            sets = [keys.deleted(g, place.member) for g in deleted_around(timestamp)]
            row = [keys.state(place.member), str(place.member), action, timestamp, sets]
            rows[place.partition].append(row)
        life = 2 * DELETED_MS // 1000
        calls = [
            (Keys(self._namespace, partition), {"life": life, "rows": found})
            for partition, found in rows.items()
        ]
        self._call(self._state, calls)

    def _call(self, script: Callable[..., Any], calls: Sequence[tuple[Keys, Any]]) -> list[Any]:
        """Call a script for several partitions; the answers in their order."""
        return [
            script(keys=[keys.position], args=[msgspec.msgpack.encode(plan)])
            for keys, plan in calls
        ]


def _place(text: bytes | str) -> Place:
    partition, member = _bytes(text).split(b":")
    return Place(int(partition), int(member))


def _bytes(text: bytes | str) -> bytes:
    return text.encode() if isinstance(text, str) else text


@functools.cache
def _script(name: str) -> str:
    return files("pipeline").joinpath(name).read_text(encoding="utf-8")
