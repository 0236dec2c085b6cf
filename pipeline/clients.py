"""Kafka clients as every worker makes them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from kafka import KafkaConsumer, KafkaProducer
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.errors import KafkaError, KafkaTimeoutError

from pipeline.client_repairs import (
    close_in_time,
    finish_joins,
    flush_parts,
    forget_lost,
    forget_offsets,
    keep_nulls,
    keep_requests,
    renew_after_abort,
    repeat_timed_out,
    step_over_unreadable,
    take_up_parked,
)
from pipeline.errors import ServerUnavailable
from pipeline.settings import Settings
from pipeline.topics import LETTER_BYTES

SESSION_SECONDS = 10.0
"""Without a heartbeat for so long a member is evicted."""
_MEBIBYTE = 1 << 20
_COMMON = {"reconnect_backoff_max_ms": 2000}
BOOTSTRAP_SECONDS = 30.0
"""Longest wait of a member of a group, or of a transactional producer, for the first answer."""
COMMAND_SECONDS = 10.0
"""That of all others: of commands, for whom a person waits."""


def consumer(settings: Settings, group: str | None, **options: Any) -> KafkaConsumer:
    """A consumer that commits nothing by itself and reads committed transactions only.

    In a group it is a static member (KIP-345): a restart within the session time-out takes its
    partitions back without a rebalance, and a second process of the same name is fenced.

    Raises:
        ServerUnavailable: Kafka does not answer.
    """
    member: dict[str, Any] = _first_answer(BOOTSTRAP_SECONDS if group else COMMAND_SECONDS)
    if group is not None:
        member |= {
            "group_id": group,
            "group_instance_id": f"{group}-{settings.name}",
            "session_timeout_ms": int(SESSION_SECONDS * 1000),
            "heartbeat_interval_ms": 2_000,
            "partition_assignment_strategy": (CooperativeStickyAssignor,),
        }
    defaults = {
        "client_id": f"{group or 'reader'}-{settings.name}",
        "auto_offset_reset": "earliest",
        "enable_auto_commit": False,
        "isolation_level": "read_committed",
        "max_poll_records": settings.batch_records,
        "max_partition_fetch_bytes": 4 * _MEBIBYTE,
        "fetch_max_bytes": 16 * _MEBIBYTE,
        "metadata_max_age_ms": 30_000,
        "allow_auto_create_topics": False,
    }
    made: KafkaConsumer = _connected(
        KafkaConsumer, settings, _COMMON | defaults | settings.kafka_options() | member | options
    )
    step_over_unreadable(made)
    take_up_parked(made)
    if group is not None:
        finish_joins(made)
        forget_lost(made)
    return made


def on_topics(member: KafkaConsumer, told: Callable[[set[str]], None]) -> None:
    """Be told the names of all topics with all metadata, every half minute, by another thread.

    Of all topics where the consumer subscribes to a pattern.
    """
    member._client.cluster.add_listener(lambda cluster: told(set(cluster.topics())))


def membership(member: KafkaConsumer) -> tuple[bool, str]:
    """Whether a consumer is in its group and hears from Kafka, and if not, why not."""
    ago = member.metrics()["consumer-coordinator-metrics"]["last-heartbeat-seconds-ago"]
    if math.isinf(ago):
        return False, "it has not joined its group yet"
    return ago < SESSION_SECONDS, f"Kafka has not answered for {ago:.0f} s"


def producer(settings: Settings, transactional_id: str | None = None) -> KafkaProducer:
    """An idempotent producer, transactional where an id is given.

    The id is the same after a restart, so that a new process ends what its predecessor left open
    and fences it (KIP-98).

    Raises:
        ServerUnavailable: Kafka does not answer.
    """
    options: dict[str, Any] = {
        # One record may be as large as the dead-letter topics take.
        "max_request_size": LETTER_BYTES,
        "batch_size": 256 * 1024,
        "linger_ms": 5,
        "compression_type": "lz4",
        # The pauses inside a transaction are waits of this length (field measurement: 108 ms a
        # transaction at the default 100, 10 ms at 5).
        "retry_backoff_ms": 5,
        "allow_auto_create_topics": False,
        "client_id": transactional_id or f"producer-{settings.name}",
    } | _first_answer(BOOTSTRAP_SECONDS if transactional_id else COMMAND_SECONDS)
    if transactional_id is not None:
        options |= {"transactional_id": transactional_id, "transaction_timeout_ms": 30_000}
    made: KafkaProducer = _connected(
        KafkaProducer, settings, _COMMON | options | settings.kafka_options()
    )
    keep_requests(made)
    keep_nulls(made)
    flush_parts(made)
    if transactional_id is not None:
        repeat_timed_out(made)
        forget_offsets(made)
        renew_after_abort(made)
    close_in_time(made)
    return made


def knows(writer: KafkaProducer, topic: str) -> bool:
    """Whether a producer has heard of a topic; where it has not, `send` waits for it."""
    return writer._metadata.partitions_for_topic(topic) is not None


def _first_answer(seconds: float) -> dict[str, Any]:
    return {"bootstrap_timeout_ms": int(seconds * 1000)}


def _connected(kind: Any, settings: Settings, options: dict[str, Any]) -> Any:
    try:
        return kind(**options)
    except KafkaTimeoutError as error:
        seconds = options["bootstrap_timeout_ms"] / 1000
        raise ServerUnavailable(
            f"Kafka does not answer at {settings.kafka} within {seconds:g} s"
        ) from error
    except KafkaError as error:
        raise ServerUnavailable(f"Kafka does not answer at {settings.kafka}: {error}") from error
