"""What others write into the raw topics: every record has one answer, and none stops the others."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from uuid import uuid4

import pytest

from pipeline.settings import Settings, load_settings
from pipeline.topics import create_topics
from tests.workers.arrival import Topics, drained, hold_once, running
from tests.workers.hostile import KINDS, RAW, post, senders

pytestmark = [pytest.mark.servers, pytest.mark.timeout(300)]


@pytest.fixture
def settings(kafka: str, redis_url: str) -> Settings:
    made = load_settings(kafka=kafka, redis=redis_url, name="arrival")
    create_topics(made)
    return made


def test_a_hostile_stream_is_answered_once_and_stops_nothing(
    settings: Settings, tmp_path: Path
) -> None:
    run = uuid4().hex[:6]
    with closing(Topics(settings, RAW)) as topics, running(settings, tmp_path) as ingest:
        with senders(settings) as sink:
            for number in range(len(KINDS) * 10):
                if number % 10 == 3:
                    sink.send(KINDS[number // 10](f"{run}-{number}"))
                else:
                    sink.send(post(f"{run}-{number}"))
            sink.flush()
        assert not sink.refused
        drained(topics, ingest, 120)
        hold_once(topics, sink.places)
