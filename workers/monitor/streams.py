"""The Faust app of the monitor, with a guard for each of its known traps.

- Rollups are written in transactions: the consumer reads committed records only, which Faust does
  by itself in its `exactly_once` mode alone, whose tables were not exact under kill -9.
- Topics are created by us before, and a missing one ends the start: Faust would hang.
- Its web server, which shows tables to everybody, is off; its environment is not read.
- While it seeks its place after a change of the group nothing is read: that would be thrown away.
- Where the group has committed nothing yet, that place is the beginning; Faust stays where it is,
  behind what it has read and thrown away.
- Commits go past all transaction markers at once, and not past one a second.
- A write to a table is awaited until the broker has it, before the record is acknowledged.
- A group member that died is replaced after 10 s, not 60; nobody polls less than every 5 minutes.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from typing import Any, cast

import faust
from aiokafka.partitioner import DefaultPartitioner
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from pipeline.settings import Settings
from pipeline.topics import MAX_RECORD_BYTES, MONITOR

_WRITE_SECONDS = 30.0
_partitioner = DefaultPartitioner()
_CLOCK = b"\0clock:"
"""No track's name begins like this."""


class _CommittedThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]
    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        # aiokafka reads it when the consumer starts.
        consumer._isolation_level = "read_committed"
        return consumer

    async def seek_to_committed(self) -> Mapping[TP, int]:
        return cast(Mapping[TP, int], await self.call_thread(self._seek))

    async def _seek(self) -> Mapping[TP, int]:
        consumer = self._ensure_consumer()
        committed: Mapping[TP, int] = await consumer.seek_to_committed()
        # The tables' own place is known to their recovery.
        changelogs = self.app.tables.changelog_topics
        new = [p for p, offset in committed.items() if not offset and p.topic not in changelogs]
        if new:
            for place, offset in (await consumer.beginning_offsets(new)).items():
                consumer.seek(place, offset)
        return committed


class _Consumer(driver.Consumer):  # type: ignore[misc]
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._reading = asyncio.Lock()

    async def perform_seek(self) -> None:
        # Behind the seek Faust empties its queues. It lets records flow into them meanwhile, and
        # those that were read after the seek of their partition would never come again.
        self.stop_flow()
        async with self._reading:
            await super().perform_seek()

    async def _getmany(self, *args: Any, **options: Any) -> Any:
        # What was read while the flow was stopped is left out, and its place sought again.
        async with self._reading:
            return await super()._getmany(*args, **options)

    async def _add_gap(self, tp: Any, offset_from: int, offset_to: int) -> None:
        # Faust counts the record behind a gap to the gap, and then acknowledges it twice, at which
        # its search for the offset to commit stops: one transaction marker a commit.
        await super()._add_gap(tp, offset_from, offset_to - 1)

    def _new_consumer_thread(self) -> Any:
        return _CommittedThread(self, loop=self.loop, beacon=self.beacon)


class _Transport(driver.Transport):  # type: ignore[misc]
    Consumer = _Consumer


class KeptTable(faust.Table):  # type: ignore[misc]
    """A table whose writes can be awaited. Keys and values are bytes."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._sent: list[Any] = []

    def partition_for_key(self, key: bytes) -> int:
        """That of the topics which the same key is produced to, by the same hash (murmur2).

        Faust takes it from the record in hand, which a batch does not have, or asks a client that
        knows nothing of a topic before its first write.
        """
        if key.startswith(_CLOCK):
            return int(key.removeprefix(_CLOCK))
        every = list(range(self.partitions))
        return int(_partitioner(key, every, every))

    def send_changelog(self, *args: Any, **options: Any) -> Any:
        """Faust's own, remembering what is under way."""
        sent = super().send_changelog(*args, **options)
        self._sent.append(sent)
        return sent

    async def written(self) -> None:
        """Until all writes so far are acknowledged by the broker.

        Raises:
            TimeoutError: they are not within 30 s.
        """
        sent, self._sent = self._sent, []
        if sent:
            await asyncio.wait_for(asyncio.gather(*sent), _WRITE_SECONDS)


def clock_key(partition: int) -> bytes:
    """The key under which a partition keeps its clock."""
    return _CLOCK + b"%d" % partition


def make_app(settings: Settings, datadir: str) -> faust.App:
    """The app, without agents and tables. Nothing is connected yet."""
    servers = [f"kafka://{server.strip()}" for server in settings.kafka.split(",")]
    app = faust.App(
        MONITOR,
        broker=servers,
        broker_credentials=_credentials(settings),
        env={},
        datadir=datadir,
        autodiscover=False,
        store="memory://",
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        processing_guarantee="at_least_once",
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=2 * MAX_RECORD_BYTES,
        broker_client_id=f"{MONITOR}-{settings.name}",
        broker_session_timeout=10.0,
        broker_heartbeat_interval=3.0,
        broker_max_poll_interval=300.0,
        broker_commit_interval=1.0,
        producer_acks=-1,
        producer_compression_type="gzip",
        producer_max_request_size=MAX_RECORD_BYTES,
        table_standby_replicas=0,
        stream_wait_empty=True,
    )
    app.transport = _Transport(app.conf.broker_consumer, app)
    return app


def make_table(app: faust.App, name: str, partitions: int) -> KeptTable:
    """A table of bytes by track, in memory, with its changelog `monitor-<name>-changelog`."""
    table = KeptTable(
        app,
        name=name,
        key_type=bytes,
        value_type=bytes,
        partitions=partitions,
        use_partitioner=True,
    )
    app.tables.add(table)
    return table


def _credentials(settings: Settings) -> Any:
    options: Mapping[str, Any] = settings.kafka_options()
    protocol = options["security_protocol"]
    if protocol == "PLAINTEXT":
        return None
    context = None
    if protocol.endswith("SSL"):
        context = ssl.create_default_context(cafile=options.get("ssl_cafile"))
        if "ssl_certfile" in options:
            context.load_cert_chain(options["ssl_certfile"], options.get("ssl_keyfile"))
    if not protocol.startswith("SASL"):
        return faust.SSLCredentials(context)
    return faust.SASLCredentials(
        username=options.get("sasl_plain_username"),
        password=options.get("sasl_plain_password"),
        mechanism=options.get("sasl_mechanism"),
        ssl_context=context,
    )
