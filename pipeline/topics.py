"""The topics of the system in one place: partitions, keys, retention, sizes."""

from __future__ import annotations

import logging
from contextlib import closing
from dataclasses import dataclass

from kafka import KafkaAdminClient
from kafka.admin import NewTopic
from kafka.errors import (
    BrokerResponseError,
    KafkaError,
    KafkaTimeoutError,
    TopicAlreadyExistsError,
)

from pipeline.errors import ServerUnavailable
from pipeline.settings import Settings

RAW_PREFIX = "posts.raw."
POSTS = "posts"
SENTIMENT = "sentiment"
SHED = "shed"
"""Posts that were left unscored under overload, one small record each."""
DELETIONS = "deletions"
"""Posts that their authors deleted or somebody erased, by id."""
ROLLUPS = "rollups"
ALERTS = "alerts"
ALERT_COMMANDS = "alerts.commands"
MONITOR = "monitor"
"""Group of the monitor's Faust app; its tables are named after it."""
MONITOR_TABLES = (f"{MONITOR}-counts-changelog", f"{MONITOR}-watches-changelog")
PLATFORMS = ("weathervane", "bluesky", "mastodon", "x", "weibo")

MAX_RECORD_BYTES = 2_000_000
"""Largest record of a raw topic. Dead letters are the record and its error headers."""
LETTER_BYTES = MAX_RECORD_BYTES + 100_000
"""Largest dead letter."""
_WAIT_MS = 10_000
"""Longest wait for Kafka's first answer."""
_SEGMENTS = 6
"""Kafka deletes whole segments: so many make up the time for which a topic keeps its records."""
_TABLE = {
    "cleanup.policy": "compact",
    "compression.type": "gzip",
    "max.message.bytes": str(MAX_RECORD_BYTES),
    # Compacted early: a table is read from its beginning after each change of the group.
    "segment.ms": "600000",
    "segment.bytes": "16777216",
    "min.cleanable.dirty.ratio": "0.2",
}

log = logging.getLogger(__name__)


class TopicMissing(KafkaError):  # type: ignore[misc]
    """A topic that is written to does not exist."""


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """How one topic is created."""

    name: str
    partitions: int
    config: dict[str, str]


def dead_letter_topic(topic: str) -> str:
    """Where records of `topic` go that cannot be processed."""
    return f"{topic}.dlq"


def topic_specs(settings: Settings) -> list[TopicSpec]:
    """Every topic with its settings. `posts` and what is keyed like it are partitioned alike."""
    kept = _retention(settings.retention_hours)
    letters = _retention(settings.dead_letter_retention_hours)
    raw = [f"{RAW_PREFIX}{platform}" for platform in PLATFORMS]
    keyed = (*raw, POSTS, SENTIMENT, SHED, DELETIONS)
    specs = [TopicSpec(name, settings.partitions, kept) for name in keyed]
    # What Faust reads is brought to a codec of the standard library by the broker.
    plain = kept | {"compression.type": "gzip"}
    specs += [TopicSpec(name, settings.partitions, plain) for name in (ROLLUPS, ALERT_COMMANDS)]
    # What a newer state replaced is gone as soon as the posts that it named are.
    replaced = {"max.compaction.lag.ms": kept["retention.ms"]}
    specs.append(TopicSpec(ALERTS, 1, {"cleanup.policy": "compact"} | replaced))
    specs += [TopicSpec(name, settings.partitions, _TABLE) for name in MONITOR_TABLES]
    with_room = letters | {"max.message.bytes": str(LETTER_BYTES)}
    read = (*raw, POSTS, SENTIMENT, ROLLUPS, ALERT_COMMANDS)
    specs += [TopicSpec(dead_letter_topic(name), 1, with_room) for name in read]
    return specs


def kept_hours(retention_hours: float) -> float:
    """Hours after which a record of a topic with this retention is gone: with the last of its
    segment, and an hour for the broker, which looks every few minutes.
    """
    return retention_hours * (1 + 1 / _SEGMENTS) + 1


def provide(settings: Settings, topic: str) -> None:
    """Let a topic be there: one of ours that is missing is created.

    Raises:
        TopicMissing: it is not there, and it is none of ours or Kafka refuses to create it.
        KafkaError: Kafka does not answer.
    """
    with closing(KafkaAdminClient(**settings.kafka_options())) as admin:
        if topic in admin.list_topics():
            return
        spec = next((spec for spec in topic_specs(settings) if spec.name == topic), None)
        if spec is None:
            raise TopicMissing(f"the topic {topic} does not exist")
        try:
            _create(admin, spec, settings.replication)
        except BrokerResponseError as error:
            raise TopicMissing(
                f"the topic {topic} does not exist, and Kafka refuses to create it: {error}"
            ) from error
        log.warning("the topic %s was missing, it has been created", topic)


def create_topics(settings: Settings) -> list[str]:
    """Create those topics that are missing; the names of those created.

    Raises:
        ServerUnavailable: Kafka does not answer, or refuses.
    """
    try:
        admin = KafkaAdminClient(**settings.kafka_options(), bootstrap_timeout_ms=_WAIT_MS)
    except KafkaTimeoutError as error:
        raise ServerUnavailable(
            f"Kafka does not answer at {settings.kafka} within {_WAIT_MS / 1000:g} s"
        ) from error
    except KafkaError as error:
        raise ServerUnavailable(f"Kafka does not answer at {settings.kafka}: {error}") from error
    try:
        existing = set(admin.list_topics())
        missing = [spec for spec in topic_specs(settings) if spec.name not in existing]
        for spec in missing:
            _create(admin, spec, settings.replication)
        return [spec.name for spec in missing]
    except KafkaError as error:
        raise ServerUnavailable(f"Kafka refused to create topics: {error}") from error
    finally:
        admin.close()


def _create(admin: KafkaAdminClient, spec: TopicSpec, replication: int) -> None:
    new = NewTopic(spec.name, spec.partitions, replication, topic_configs=spec.config)
    try:
        admin.create_topics([new])
    except TopicAlreadyExistsError:
        log.info("topic %s was created by another process", spec.name)


def _retention(hours: float) -> dict[str, str]:
    return {
        "retention.ms": str(int(hours * 3_600_000)),
        "segment.ms": str(max(1, int(hours * 3_600_000 / _SEGMENTS))),
        "max.message.bytes": str(MAX_RECORD_BYTES),
        "message.timestamp.type": "LogAppendTime",
    }
