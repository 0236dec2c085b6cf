"""Fold events into Redis: one exact call a batch against increments one by one and pipelined.

All candidates keep the same counters. Only ours is exact after a crash, and it also recognises
republished posts; the peers do neither.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import redis

from benchmarks.harness import compare, report
from pipeline.buckets import Deltas, sum_deltas
from pipeline.fold import Folder
from pipeline.keys import Keys
from pipeline.store import Store, connect
from tests.pipeline.events import ARRIVAL_MS, scored
from workers.local.cluster import Cluster

EVENTS = 10_000
BATCH = 1000
LATENESS_MS = 600_000
DEDUPE_MS = 48 * 3_600_000


def main() -> None:
    """Print the table, with a Redis of its own."""
    with tempfile.TemporaryDirectory() as folder:
        cluster = Cluster(Path(folder), kafka="127.0.0.1:1")
        cluster.up(lambda _: [], lambda _: None, lambda _: {}, attached=True)
        try:
            measure(connect(cluster.endpoints().redis))
        finally:
            cluster.down()


def measure(client: redis.Redis) -> None:
    """Compare, after checking that all candidates count alike."""
    log = [scored(n, n) for n in range(EVENTS)]
    few = log[: EVENTS // 10]

    def ours() -> int:
        client.flushdb()
        folder = Folder(client, LATENESS_MS, DEDUPE_MS)
        position = folder.position(0)
        for at in range(0, EVENTS, BATCH):
            batch = log[at : at + BATCH]
            folded = folder.fold(0, position, batch, at + BATCH, ARRIVAL_MS)
            position = folded.position
        return EVENTS

    def pipelined() -> int:
        client.flushdb()
        for at in range(0, EVENTS, BATCH):
            pipe = client.pipeline(transaction=False)
            for item in log[at : at + BATCH]:
                _increments(pipe, sum_deltas([item], 0, LATENESS_MS))
            pipe.execute()
        return EVENTS

    def one_by_one() -> int:
        client.flushdb()
        for item in few:
            _increments(client, sum_deltas([item], 0, LATENESS_MS))
        return len(few)

    ours()
    expected = Store(client).totals(["all"])["all"].emotions
    pipelined()
    client.sadd("wv:partitions", 0)
    assert Store(client).totals(["all"])["all"].emotions == expected
    candidates = {
        "weathervane": ours,
        f"pipeline of {BATCH}": pipelined,
        "HINCRBY one by one": one_by_one,
    }
    report("fold", "events", compare(candidates), "weathervane")


def _increments(client: redis.Redis, deltas: Deltas) -> None:
    keys = Keys("wv", 0)
    targets = {keys.bucket(key): fields for key, fields in deltas.buckets.items()}
    targets |= {keys.total(track): fields for track, fields in deltas.totals.items()}
    for key, fields in targets.items():
        for name, amount in fields.items():
            client.hincrby(key, name, amount)
