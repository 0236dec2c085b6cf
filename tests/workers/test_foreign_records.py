"""Records of others in the topics between the stages: no worker ends, each gets past them."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from kafka import TopicPartition

from pipeline.settings import Settings, load_settings
from pipeline.topics import (
    ALERT_COMMANDS,
    ALERTS,
    DELETIONS,
    ROLLUPS,
    SENTIMENT,
    SHED,
    create_topics,
)
from tests.waiting import until
from tests.workers.arrival import Topics, running
from tests.workers.hostile import KINDS, Senders, senders
from workers.local.cluster import Endpoints

pytestmark = [pytest.mark.servers, pytest.mark.timeout(300)]
READERS = [
    ("aggregate", {"aggregate": (SENTIMENT, SHED, DELETIONS)}),
    ("monitor", {"monitor-combine": (SENTIMENT,), "monitor": (ROLLUPS, ALERT_COMMANDS)}),
    ("notify", {"notify": (ALERTS,)}),
]


@pytest.fixture
def settings(own_servers: Endpoints) -> Settings:
    made = load_settings(kafka=own_servers.kafka, redis=own_servers.redis, name="foreign")
    create_topics(made)
    return made


def send_all(sink: Senders, topic: str) -> None:
    """Every kind; a compacted topic takes none without a key."""
    for number, kind in enumerate(KINDS):
        sent = kind(f"{topic}-{number}")
        if sent.key is not None or topic != ALERTS:
            sink.send(sent, topic)
    sink.flush()


@pytest.mark.parametrize(("stage", "groups"), READERS)
def test_foreign_records_stop_no_worker(
    stage: str, groups: dict[str, tuple[str, ...]], settings: Settings, tmp_path: Path
) -> None:
    with closing(Topics(settings)) as topics, running(settings, tmp_path, stage) as worker:
        with senders(settings) as sink:
            for names in groups.values():
                for name in names:
                    send_all(sink, name)
        last: dict[TopicPartition, int] = {}
        for place, offset in sink.places:
            last[place] = max(last.get(place, 0), offset)

        def past() -> bool:
            assert worker.process.poll() is None, worker.log.read_text()[-3000:]
            done = {place: at for group in groups for place, at in topics.committed(group).items()}
            return all(done.get(place, 0) > at for place, at in last.items())

        until(past, f"{stage} is past them", 90)
        assert worker.ready()
