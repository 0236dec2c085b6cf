"""50,000 records of which every fiftieth is of one of thirty hostile kinds, read by one ingest."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from pipeline.settings import load_settings
from pipeline.topics import create_topics
from tests.waiting import until
from tests.workers.arrival import Topics, Worker, drained, hold_once
from tests.workers.hostile import KINDS, RAW, post, senders

pytestmark = [pytest.mark.trial, pytest.mark.timeout(1800)]
RECORDS, EVERY = 50_000, 50
LEAST_SHARE = 0.5
"""Of the undisturbed rate, measured just before."""


def test_a_hostile_stream_reaches_the_end(kafka: str, redis_url: str, tmp_path: Path) -> None:
    settings = load_settings(kafka=kafka, redis=redis_url, name="hostile")
    create_topics(settings)
    with closing(Topics(settings, RAW)) as topics, senders(settings) as sink:
        with closing(Worker(settings, tmp_path)) as ingest:
            until(ingest.ready, "ingest is ready", 90)
        # Each is read as a backlog, so that what sends does not count.
        for number in range(RECORDS):
            sink.send(post(f"calm-{number}"))
        sink.flush()
        with closing(Worker(settings, tmp_path)) as ingest:
            calm = drained(topics, ingest, 600)
        for number in range(RECORDS):
            kind = KINDS[number // EVERY % len(KINDS)] if number % EVERY == 0 else post
            sink.send(kind(f"odd-{number}"))
        sink.flush()
        assert not sink.refused
        with closing(Worker(settings, tmp_path)) as ingest:
            pid = ingest.process.pid
            hostile = drained(topics, ingest, 1200)
            assert ingest.process.poll() is None, pid
        hold_once(topics, sink.places)
    rates = RECORDS / calm, RECORDS / hostile
    print(f"{rates[0]:.0f} records/s undisturbed, {rates[1]:.0f} records/s hostile")
    assert rates[1] >= LEAST_SHARE * rates[0], rates
