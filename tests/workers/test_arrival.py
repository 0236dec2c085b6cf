"""What others write into the raw topics: every record has one answer, and none stops the others."""

from __future__ import annotations

import os
import time
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, NewTopic

from pipeline.settings import Settings, load_settings
from pipeline.topics import POSTS, create_topics
from tests.waiting import until
from tests.workers.arrival import Topics, drained, error, hold_once, running
from tests.workers.hostile import KINDS, RAW, Sent, post, senders
from workers.local.cluster import Endpoints

pytestmark = [pytest.mark.servers, pytest.mark.timeout(300)]


@pytest.fixture
def settings(own_servers: Endpoints) -> Settings:
    made = load_settings(kafka=own_servers.kafka, redis=own_servers.redis, name="arrival")
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


def limited(settings: Settings, topic: str, largest: int) -> None:
    """Set what a topic takes."""
    wanted = {"max.message.bytes": str(largest)}
    with closing(KafkaAdminClient(**settings.kafka_options())) as admin:
        admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs=wanted)])


def test_a_post_that_posts_does_not_take_is_a_dead_letter(
    settings: Settings, tmp_path: Path
) -> None:
    run = uuid4().hex[:6]
    limited(settings, POSTS, 5000)
    try:
        with closing(Topics(settings, RAW)) as topics, running(settings, tmp_path) as ingest:
            with senders(settings) as sink:
                for number in range(100):
                    text = os.urandom(6000).hex() if number in (40, 41) else "a fine day"
                    fate = "letter" if number in (40, 41) else "post"
                    sent = post(f"{run}-{number}", text=text)
                    sink.send(Sent(sent.value, sent.key, fate=fate, id=sent.id))  # type: ignore[arg-type]
                sink.flush()
            drained(topics, ingest, 90)
            hold_once(topics, sink.places)
            reasons = {error(letter, "exception.message") for letter in topics.read(f"{RAW}.dlq")}
        assert all("posts does not take the record of 12" in reason for reason in reasons)
    finally:
        limited(settings, POSTS, 2_000_000)


def test_a_missing_dead_letter_topic_is_made_again(settings: Settings, tmp_path: Path) -> None:
    topic, letters = "posts.raw.mastodon", "posts.raw.mastodon.dlq"
    run = uuid4().hex[:6]
    with closing(KafkaAdminClient(**settings.kafka_options())) as admin:
        admin.delete_topics([letters])
        until(lambda: letters not in admin.list_topics(), "the topic is gone")
    with closing(Topics(settings, RAW, topic)) as topics, running(settings, tmp_path) as ingest:
        with senders(settings) as sink:
            sink.send(Sent(b"{not json"), topic)
            for number in range(100):
                sink.send(post(f"{run}-{number}"))
            sink.flush()
        assert drained(topics, ingest, 60) < 30
        hold_once(topics, sink.places)


def test_a_topic_of_a_platform_that_is_not_read_is_left_alone_and_said_once(
    settings: Settings, tmp_path: Path
) -> None:
    stranger, letters = "posts.raw.reddit", "posts.raw.strange.dlq"
    run = uuid4().hex[:6]
    with (
        closing(KafkaAdminClient(**settings.kafka_options())) as admin,
        closing(Topics(settings, RAW)) as topics,
        running(settings, tmp_path) as ingest,
    ):
        try:
            admin.create_topics([NewTopic(name, 1, 1) for name in (stranger, letters)])
            with senders(settings) as sink:
                sink.send(Sent(b"{}"), stranger)
                sink.send(Sent(b"{}"), letters)
                sink.flush()

            def said() -> bool:
                with senders(settings) as more:
                    more.send(post(f"{run}-{time.monotonic_ns()}"))
                    more.flush()
                drained(topics, ingest, 30)
                return "posts.raw.reddit is left alone" in ingest.log.read_text()

            until(said, "it is said, and posts go on", 60)
        finally:
            admin.delete_topics([stranger, letters])
        assert ingest.log.read_text().count("is left alone") == 1
        assert TopicPartition(stranger, 0) not in topics.committed()
        assert TopicPartition(letters, 0) not in topics.committed()


def test_a_batch_that_the_disk_has_damaged_is_stepped_over(
    settings: Settings, tmp_path: Path
) -> None:
    run = uuid4().hex[:6]
    with closing(Topics(settings, RAW)) as topics:
        with senders(settings) as sink:
            for name in ("before", "hurt", "after"):
                sink.send(post(f"{run}-{name}", text=f"{run} {name} " * 9))
                sink.flush()
        places = {sent.id: place for place, sent in sink.places.items()}
        hurt = places[f"weathervane:{run}-hurt"]
        with closing(KafkaAdminClient(**settings.kafka_options())) as admin:
            damage(admin, hurt[0], f"{run} hurt".encode())
        with running(settings, tmp_path) as ingest:
            drained(topics, ingest, 60)
        letters = [
            letter
            for letter in topics.read(f"{RAW}.dlq")
            if (int(error(letter, "partition")), int(error(letter, "offset")))
            == (hurt[0].partition, hurt[1])
        ]
        assert len(letters) == 1
        assert letters[0].value is None
        assert error(letters[0], "last.offset") == str(hurt[1])
        assert "checksum" in error(letters[0], "exception.message")
        keys = [record.key for record in topics.read(POSTS)]
        for name in ("before", "after"):
            assert keys.count(f"weathervane:{run}-{name}".encode()) == 1


def damage(admin: Any, place: TopicPartition, text: bytes) -> None:
    """Change a byte of a text where the broker keeps it."""
    found = [
        path
        for answer in admin.describe_log_dirs()
        for folder in answer["log_dirs"]
        for path in Path(folder["log_dir"]).glob(f"{place.topic}-{place.partition}/*.log")
        if text in path.read_bytes()
    ]
    assert found, "the text is nowhere"
    at = found[0].read_bytes().index(text)
    with found[0].open("r+b") as segment:
        segment.seek(at)
        segment.write(b"#")
