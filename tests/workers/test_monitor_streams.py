"""The Faust app: its guards are set, and its keys go where everybody else's go."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from pathlib import Path
from typing import Any, Literal

import faust
import pytest
from faust.types import TP
from faust.types.auth import AuthProtocol
from intervaltree import IntervalTree
from kafka.partitioner.default import murmur2
from pydantic import SecretStr

from pipeline.settings import Settings
from pipeline.topics import ROLLUPS
from tests.workers.monitoring import Monitoring
from workers.monitor.streams import _Consumer, clock_key, make_app, make_table


@pytest.fixture
def settings() -> Settings:
    return Settings(kafka="one:9092, two:9093", name="monitor-1")


def test_the_guards_are_set(settings: Settings, tmp_path: Path) -> None:
    conf = make_app(settings, str(tmp_path)).conf
    assert [str(url) for url in conf.broker] == ["kafka://one:9092", "kafka://two:9093"]
    assert not conf.web_enabled
    assert not conf.topic_allow_declare
    assert (conf.broker_session_timeout, conf.broker_max_poll_interval) == (10.0, 300.0)
    assert conf.producer_acks == -1
    assert str(conf.store) == "memory:"


def test_a_key_has_the_partition_that_producers_choose(settings: Settings, tmp_path: Path) -> None:
    table = make_table(make_app(settings, str(tmp_path)), "counts", 6)
    every = list(range(6))
    for name in ("all", "games", "咖啡", "a b.c"):
        key = name.encode()
        assert table.partition_for_key(key) == murmur2(key) % 2**31 % 6
    assert [table.partition_for_key(clock_key(number)) for number in every] == every


@pytest.mark.parametrize(
    ("protocol", "expected"),
    [("SSL", AuthProtocol.SSL), ("SASL_PLAINTEXT", AuthProtocol.SASL_PLAINTEXT)],
)
def test_credentials_come_from_the_settings(
    protocol: Literal["SSL", "SASL_PLAINTEXT"], expected: AuthProtocol, tmp_path: Path
) -> None:
    settings = Settings(
        kafka="one:9092",
        kafka_security=protocol,
        kafka_sasl_mechanism="SCRAM-SHA-256" if protocol.startswith("SASL") else None,
        kafka_username="weathervane",
        kafka_password=SecretStr("word"),
    )
    credentials = make_app(settings, str(tmp_path)).conf.broker_credentials
    assert credentials.protocol == expected
    if protocol.startswith("SASL"):
        assert (credentials.username, credentials.password) == ("weathervane", "word")


def test_a_commit_goes_past_every_transaction_marker() -> None:
    place = TP("rollups", 0)
    consumer = _Consumer.__new__(_Consumer)
    consumer._acked, consumer._acked_index = defaultdict(list), defaultdict(set)
    consumer._gap, consumer._committed_offset = defaultdict(IntervalTree), {place: None}
    # Records at 0, 1, 3, 4, 6 and 9; markers between them, as Faust finds them.
    for after, record in ((1, 3), (4, 6), (6, 9)):
        asyncio.run(consumer._add_gap(place, after + 1, record))
    consumer._acked[place] = [0, 1, 3, 4, 6, 9]
    assert consumer._new_offset(place) == 10


class Fetching:
    """In place of Faust's thread: a fetch that ends when told; what was done in which order."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.begun, self.end = asyncio.Event(), asyncio.Event()

    async def getmany(self, active_partitions: set[TP] | None, timeout: float) -> dict[TP, Any]:
        self.begun.set()
        await self.end.wait()
        self.done.append("fetched")
        return {TP("rollups", 0): ["a record"]}

    async def seek_to_committed(self) -> dict[TP, int]:
        self.done.append("sought")
        return {}


def test_nothing_is_read_while_the_place_is_sought(settings: Settings, tmp_path: Path) -> None:
    asyncio.run(_seek_while_reading(make_app(settings, str(tmp_path))))


async def _seek_while_reading(app: faust.App) -> None:
    consumer = app.consumer
    consumer._thread = thread = Fetching()
    consumer._active_partitions = {TP("rollups", 0)}

    async def read() -> list[Any]:
        return [record async for record in consumer.getmany(1.0)]

    reading = asyncio.create_task(read())
    await thread.begun.wait()
    seeking = asyncio.create_task(consumer.perform_seek())
    await asyncio.sleep(0)
    assert not consumer.flow_active, "Faust lets records flow while it seeks"
    assert thread.done == []
    thread.end.set()
    await seeking
    assert await reading == [], "what was read before the seek comes again"
    assert thread.done == ["fetched", "sought", "sought"]


@pytest.mark.servers
def test_what_a_group_has_not_committed_comes_again(
    kafka: str, redis_url: str, tmp_path: Path
) -> None:
    servers = Monitoring(kafka, redis_url, tmp_path)
    servers.clean()
    for number in range(5):
        servers.produce(ROLLUPS, b"%d" % number, b"all")
    asyncio.run(_seek_before_the_first_commit(kafka, tmp_path))
    servers.clean()


async def _seek_before_the_first_commit(kafka: str, folder: Path) -> None:
    settings = Settings(kafka=kafka, name="monitor-1")
    app = make_app(settings, str(folder))
    table = make_table(app, "counts", settings.partitions)
    taken: list[Any] = []

    async def agent(stream: Any) -> None:
        async for events in stream.noack_take(10, within=0.1):
            taken.extend(events)

    async def have_come(number: int) -> None:
        async with asyncio.timeout(60):
            while len(taken) < number:
                await asyncio.sleep(0.05)

    app.agent(app.topic(ROLLUPS, key_serializer="raw", value_serializer="raw"))(agent)
    await app.start()
    try:
        assert table.changelog_topic_name in app.tables.changelog_topics
        await have_come(5)
        await app.consumer.perform_seek()
        app.consumer.resume_flow()
        await have_come(10)
    finally:
        # The app does not stop before.
        for event in taken:
            event.ack()
        await app.stop()
    assert [event.message.value for event in taken] == [b"%d" % n for n in range(5)] * 2
