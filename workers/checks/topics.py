"""The topics as they are against the topics as the workers need them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any

from kafka import TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType
from redis import RedisError

from pipeline.lag import behind_open, held
from pipeline.partition_count import known_partitions
from pipeline.settings import PREFIX, Settings
from pipeline.store import connect
from pipeline.times import rfc3339
from pipeline.topics import (
    ALERT_COMMANDS,
    DELETIONS,
    MONITOR_TABLES,
    POSTS,
    RAW_PREFIX,
    ROLLUPS,
    SENTIMENT,
    SHED,
    TopicSpec,
    topic_specs,
)
from workers.checks.finding import Finding, by_topic, failed, unless_found, warning
from workers.checks.kafka import admin_of

ALIKE = ((POSTS, SENTIMENT, SHED, DELETIONS), (ROLLUPS, ALERT_COMMANDS, *MONITOR_TABLES))
"""Topics that must have as many partitions as each other: the same key is looked for in the same
partition of each."""
_NEVER = 1 << 62
_HOUR_MS = 3_600_000

Config = Mapping[str, str]


def check_topics(settings: Settings) -> list[Finding]:
    """Whether every topic is there and as it should be."""
    specs = topic_specs(settings)
    names = [spec.name for spec in specs]
    with admin_of(settings) as admin:
        there = {topic["name"]: topic["partitions"] for topic in admin.describe_topics()}
        brokers = len(admin.describe_cluster()["brokers"])
        resources = [ConfigResource(ConfigResourceType.TOPIC, n) for n in names if n in there]
        told = admin.describe_configs(resources, config_filter="all") if resources else {}
        raw = [
            TopicPartition(name, each["partition_index"])
            for name in names
            if name.startswith(RAW_PREFIX)
            for each in there.get(name, ())
        ]
        waiting = behind_open(held(admin, raw))
    found: list[Finding] = []
    missing = [name for name in names if name not in there]
    if missing:
        found.append(
            failed(
                f"{len(missing)} topics are missing ({', '.join(missing[:3])}"
                f"{' …' * (len(missing) > 3)}): run weathervane topics create"
            )
        )
    counts = {name: len(partitions) for name, partitions in there.items()}
    found += [finding for group in ALIKE for finding in _unlike(counts, group)]
    found += _repartitioned(settings, counts)
    found += by_topic(
        (spec.name, finding)
        for spec in specs
        if spec.name in there
        for finding in _of_topic(
            spec, there[spec.name], _values(told["topic"].get(spec.name, {})), settings, brokers
        )
    )
    found += [warning(f"{said}: it has to commit or to end") for said in waiting]
    return unless_found(found, f"all {len(names)} are as they should be")


def _of_topic(
    spec: TopicSpec,
    partitions: list[dict[str, Any]],
    config: Config,
    settings: Settings,
    brokers: int,
) -> Iterator[Finding]:
    if spec.partitions > 1 and len(partitions) != spec.partitions:
        yield warning(
            f"{len(partitions)} partitions, and {PREFIX}PARTITIONS is {spec.partitions}, which is "
            "for topics that are created"
        )
    yield from _replicas(partitions, config, settings, brokers)
    yield from _sizes(spec, config)
    yield from _times(spec, config)
    ours = spec.config.get("cleanup.policy", "delete")
    policy = config.get("cleanup.policy", ours)
    if policy != ours:
        yield failed(f"cleanup.policy is {policy} and must be {ours}, or records are lost")


def _replicas(
    partitions: list[dict[str, Any]], config: Config, settings: Settings, brokers: int
) -> Iterator[Finding]:
    fewest = min((len(each["replica_nodes"]) for each in partitions), default=0)
    in_sync = min((len(each["isr_nodes"]) for each in partitions), default=0)
    needed = int(config.get("min.insync.replicas", 1))
    if any(each["leader_id"] < 0 for each in partitions):
        yield failed("a partition has no leader: its broker is down")
    elif needed > fewest:
        yield failed(
            f"min.insync.replicas is {needed} with {fewest} replicas: nothing can be written"
        )
    elif in_sync < needed:
        yield failed(
            f"{in_sync} replicas are in sync and {needed} are needed: nothing can be written"
        )
    elif in_sync < fewest:
        yield warning(f"{in_sync} of {fewest} replicas are in sync")
    if fewest < settings.replication:
        yield warning(f"{fewest} replicas, and {PREFIX}REPLICATION is {settings.replication}")
    elif fewest == 1 and brokers > 1:
        yield warning(f"one replica on {brokers} brokers: the disk of one holds all there is")
    elif fewest > 2 and needed < 2:
        yield warning("min.insync.replicas is 1: what one broker acknowledged can be lost with it")


def _sizes(spec: TopicSpec, config: Config) -> Iterator[Finding]:
    ours = spec.config.get("max.message.bytes")
    largest = config.get("max.message.bytes")
    if ours is not None and largest is not None and int(largest) < int(ours):
        yield failed(
            f"max.message.bytes is {largest}, and records of up to {ours} are written to it"
        )
    if int(config.get("retention.bytes", -1)) >= 0:
        yield warning(f"retention.bytes is {config['retention.bytes']}: records go by size as well")


def _times(spec: TopicSpec, config: Config) -> Iterator[Finding]:
    kept, ours = config.get("retention.ms"), spec.config.get("retention.ms")
    if kept is not None and ours is not None:
        found, wanted = _milliseconds(kept), _milliseconds(ours)
        if found < wanted:
            yield failed(
                f"records are kept for {_hours(found)} and {_hours(wanted)} are set: what waits "
                "longer is lost"
            )
        elif found > wanted:
            yield warning(
                f"records are kept for {_hours(found)} and {_hours(wanted)} are set: erased posts "
                "stay in it for longer than `erase` says"
            )
    for name in ("segment.ms", "max.compaction.lag.ms"):
        found_ms, ours_ms = config.get(name), spec.config.get(name)
        late = found_ms is not None and ours_ms is not None and int(found_ms) > int(ours_ms)
        if late and (name != "segment.ms" or ours is not None):
            yield warning(f"{name} is {found_ms} and should be {ours_ms}: records go later")
    stamp, wanted_stamp = (source.get("message.timestamp.type") for source in (config, spec.config))
    if stamp and wanted_stamp and stamp != wanted_stamp:
        yield failed(
            f"message.timestamp.type is {stamp} and must be {wanted_stamp}: repeats and late posts "
            "are judged by it"
        )


def _unlike(counts: Mapping[str, int], group: tuple[str, ...]) -> Iterator[Finding]:
    found = {name: counts[name] for name in group if name in counts}
    if len(set(found.values())) > 1:
        said = ", ".join(f"{name} {count}" for name, count in found.items())
        yield failed(
            f"these must have as many partitions as each other: {said}. Add partitions to all of "
            "them, as docs/operate.md says under Partitions"
        )


def _repartitioned(settings: Settings, counts: Mapping[str, int]) -> Iterator[Finding]:
    """Partitions that were added while posts may be sent again."""
    now_ms = time.time_ns() // 1_000_000
    try:
        with closing(connect(settings.redis, seconds=2)) as client:
            known, change = known_partitions(client)
    except (RedisError, ValueError):
        return  # The check of Redis says so.
    present = counts.get(SENTIMENT, known)
    horizon_ms = int(settings.dedupe_hours * _HOUR_MS)
    if known is not None and present != known:
        before, until_ms = known, now_ms + horizon_ms
    elif change is not None and now_ms < change.since_ms + horizon_ms:
        before, until_ms = change.before, change.since_ms + horizon_ms
    else:
        return
    yield failed(
        f"{SENTIMENT} has {present} partitions and had {before}: a post that was counted before "
        f"the change and is sent again until {rfc3339(until_ms)} is counted twice. See "
        "docs/operate.md, Partitions"
    )


def _values(config: Mapping[str, Any]) -> Config:
    return {
        name: str(each["value"] if isinstance(each, Mapping) else each)
        for name, each in config.items()
        if (each["value"] if isinstance(each, Mapping) else each) is not None
    }


def _milliseconds(value: str) -> int:
    return int(value) if int(value) >= 0 else _NEVER


def _hours(milliseconds: int) -> str:
    return "ever" if milliseconds >= _NEVER else f"{milliseconds / _HOUR_MS:g} h"
