"""Kafka: whether it is there and is Kafka, its addresses, its disks, its clock."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import OffsetSpec
from kafka.codec import has_gzip, has_lz4, has_snappy, has_zstd
from kafka.errors import KafkaError

from pipeline.errors import ServerUnavailable
from pipeline.settings import PREFIX, Settings
from pipeline.topics import topic_specs
from workers.checks.disk import room
from workers.checks.finding import Finding, failed, unless_found, warning
from workers.checks.reach import kafka_addresses, reach, reach_kafka

_TIMEOUT_MS = 3000
SKEW_SECONDS = 2.0
BAD_SKEW_SECONDS = 60.0


@contextmanager
def admin_of(settings: Settings) -> Iterator[KafkaAdminClient]:
    """A client that waits no longer than a few seconds.

    Raises:
        ServerUnavailable, SettingsError: what stands at the address is no Kafka that answers.
    """
    reach_kafka(settings, kafka_addresses(settings))
    try:
        admin = KafkaAdminClient(**settings.kafka_options(), request_timeout_ms=_TIMEOUT_MS)
    except KafkaError as error:
        raise ServerUnavailable(f"{settings.kafka} refuses the connection: {error}") from error
    with closing(admin):
        yield admin


def check_kafka(settings: Settings) -> list[Finding]:
    """Whether every bootstrap server answers, and the addresses by which brokers go."""
    wrong = reach_kafka(settings, kafka_addresses(settings))
    found = [warning(f"{error} (others of {PREFIX}KAFKA do)") for error in wrong]
    with admin_of(settings) as admin:
        brokers = admin.describe_cluster()["brokers"]
        found += _advertised(brokers)
        if not found:
            found += _log_dirs(admin)
    lacking = {
        name
        for name, has in (
            ("gzip", has_gzip),
            ("lz4", has_lz4),
            ("snappy", has_snappy),
            ("zstd", has_zstd),
        )
        if not has()
    }
    if lacking:
        found.append(
            failed(f"batches in {', '.join(sorted(lacking))} cannot be read: install cramjam")
        )
    return unless_found(found, f"{settings.kafka} answers, {len(brokers)} brokers")


def check_clock(settings: Settings) -> list[Finding]:
    """Kafka's clock by the newest records: it may not be ahead of ours.

    Kafka does not tell the time, so a clock that is behind does not show here.
    """
    with admin_of(settings) as admin:
        there = {topic["name"]: topic["partitions"] for topic in admin.describe_topics()}
        stamped = (spec.name for spec in topic_specs(settings) if _is_stamped(spec.config))
        places = [
            TopicPartition(name, partition["partition_index"])
            for name in stamped
            for partition in there.get(name, ())
        ]
        asked = dict.fromkeys(places, OffsetSpec.MAX_TIMESTAMP)
        newest = admin.list_partition_offsets(asked) if asked else {}
    stamps = [at.timestamp for at in newest.values() if at.timestamp > 0]
    if not stamps:
        return unless_found([], "Kafka holds no records yet to tell its time by")
    ahead = max(stamps) / 1000 - time.time()
    return skew("Kafka's", ahead) if ahead > 0 else unless_found([], "Kafka's is not ahead of ours")


def skew(whose: str, seconds: float) -> list[Finding]:
    """What a difference to our clock means; `seconds` above 0 where the other is ahead."""
    text = f"{whose} clock is {abs(seconds):.1f} s {'ahead of' if seconds > 0 else 'behind'} ours"
    advice = "; keep the clocks of all machines together (NTP)"
    if abs(seconds) > BAD_SKEW_SECONDS:
        return [failed(f"{text}: late posts and alerts are judged wrongly{advice}")]
    if abs(seconds) > SKEW_SECONDS:
        return [warning(f"{text}: delays are shown wrongly{advice}")]
    return unless_found([], f"{whose} is within {SKEW_SECONDS:g} s of ours")


def _is_stamped(config: dict[str, str]) -> bool:
    return config.get("message.timestamp.type") == "LogAppendTime"


def _advertised(brokers: list[dict[str, Any]]) -> Iterator[Finding]:
    for broker in brokers:
        try:
            reach((broker["host"], broker["port"])).close()
        except ServerUnavailable as error:
            yield failed(
                f"broker {broker['broker_id']} says that it is at {broker['host']}:"
                f"{broker['port']}, but {error}; mend its advertised.listeners"
            )


def _log_dirs(admin: KafkaAdminClient) -> Iterator[Finding]:
    try:
        brokers = admin.describe_log_dirs()
    except KafkaError:
        return  # A right of its own, and of no use to the workers.
    for broker in brokers:
        for folder in broker["log_dirs"]:
            total, usable = folder.get("total_bytes", -1), folder.get("usable_bytes", -1)
            if total > 0 and usable >= 0:
                yield from room(f"broker {broker['broker']}'s {folder['log_dir']}", usable, total)
