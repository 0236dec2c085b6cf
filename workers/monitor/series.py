"""Rollups into series and alerts: the agents of the Faust app.

Order of one batch:
    Step 1. take in each record in its order; a record that cannot be used is a dead letter.
    Step 2. publish the states of alerts that are new, after a look at those that are out.
    Step 3. write the tables: first what was judged, then what was counted; wait for the broker.
    Step 4. acknowledge the records.
    A crash before step 4 repeats the batch. Rollups that the tables hold are known by their
    offsets, minutes that were judged are not judged again, and states that are out stay single.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import faust
from kafka import KafkaProducer

from pipeline.alerts.alert import Alert, command_decoder
from pipeline.alerts.rules import RuleFile, Rules
from pipeline.errors import UNDECODABLE, ServerUnavailable, Unreadable
from pipeline.records import Record, dead_letter
from pipeline.rollups import decoder
from pipeline.telemetry import STALLED_SECONDS, Telemetry
from pipeline.topics import ALERT_COMMANDS, ROLLUPS
from workers.monitor.ledger import Ledger
from workers.monitor.shard import Shard, Step
from workers.monitor.streams import clock_key, make_table

BATCH = 500
WITHIN = 0.2
"""Seconds for which a batch is gathered."""
_RETRY_SECONDS = 2.0
log = logging.getLogger(__name__)


class Completer(Protocol):
    """Adds the posts to the evidence of an alert."""

    def complete(self, alert: Alert) -> Alert: ...


@dataclass(frozen=True, slots=True)
class Consumed:
    """A record as Faust gives it."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]


class Series:
    """The shards that this process owns.

    Args:
        app: not started yet; agents and tables are added to it.
        partitions: of `rollups`, `alerts.commands` and the tables.
        sources: partitions of `sentiment`.
        lateness_ms: how much older than the newest a post may be.
        failed: called once with what made it impossible to go on.
    """

    def __init__(
        self,
        app: faust.App,
        *,
        partitions: int,
        sources: int,
        lateness_ms: int,
        rules: RuleFile,
        ledger: Ledger,
        witness: Completer,
        letters: KafkaProducer,
        telemetry: Telemetry,
        failed: Callable[[BaseException], None],
    ) -> None:
        self._app = app
        self._sources, self._lateness_ms = sources, lateness_ms
        self._rules = rules
        self._ledger, self._witness, self._letters = ledger, witness, letters
        self._telemetry = telemetry
        self._failed = failed
        self._shards: dict[int, Shard] = {}
        self._lock = asyncio.Lock()
        self._counts = make_table(app, "counts", partitions)
        self._watches = make_table(app, "watches", partitions)
        self.progressed = time.monotonic()
        """When a batch was last ended, on the steady clock."""
        self._topics = {
            name: app.topic(name, key_serializer="raw", value_serializer="raw")
            for name in (ROLLUPS, ALERT_COMMANDS)
        }
        for name, topic in self._topics.items():
            app.agent(topic, name=f"monitor.{name}", concurrency=1)(self._agent)
        self._assigned = 0
        app.on_partitions_revoked.connect(self._forget, weak=False)
        app.on_partitions_assigned.connect(self._begin, weak=False)

    def health(self) -> tuple[bool, str]:
        """Whether records come.

        Every partition of `rollups` gets one a few times a minute, so that a minute without any
        means a consumer that died without a word.
        """
        silent = time.monotonic() - self.progressed
        if silent > STALLED_SECONDS and self._assigned:
            return False, f"no record of {ROLLUPS} for {silent:.0f} s"
        return True, "ok"

    @property
    def shards(self) -> dict[int, Shard]:
        """By partition of `rollups`."""
        return self._shards

    async def _agent(self, stream: Any) -> None:
        """Whatever goes wrong ends the process: an exception that left here would be a loss."""
        try:
            async for events in stream.noack_take(BATCH, within=WITHIN):
                async with self._lock:
                    await self._batch(stream, events)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            log.exception("the monitor cannot go on")
            self._failed(error)
            # The records stay unacknowledged until the process has ended.
            await asyncio.Event().wait()

    async def _forget(self, app: Any, revoked: Any, **kwargs: Any) -> None:
        """After a change of the group, every shard is read again from the tables."""
        async with self._lock:
            self._shards.clear()
            self._assigned = 0

    async def _begin(self, app: Any, assigned: Any, **kwargs: Any) -> None:
        await self._forget(app, assigned)
        self._assigned = sum(place.topic == ROLLUPS for place in assigned)
        self.progressed = time.monotonic()

    async def _batch(self, stream: Any, events: Sequence[Any]) -> None:
        assigned = self._app.consumer.assignment()
        # What was taken before a change of the group is the next owner's to handle.
        ours = [event for event in events if event.message.tp in assigned]
        records = [_consumed(event.message) for event in ours]
        self._telemetry.batch(len(records))
        for partition in {record.partition for record in records} - self._shards.keys():
            self._shards[partition] = self._restored(partition)
        with self._telemetry.step("series"):
            step = await asyncio.to_thread(self._take, records)
        if step.alerts:
            with self._telemetry.step("publish"):
                await self._publish(step.alerts)
        with self._telemetry.step("tables"):
            await self._write(step)
        for event in ours:
            await stream.ack(event)
        self._telemetry.count("repeated", step.repeats)
        self.progressed = time.monotonic()

    def _restored(self, partition: int) -> Shard:
        counts, watches = (
            {
                key: value
                for key, value in table.items()
                if table.partition_for_key(key) == partition
            }
            for table in (self._counts, self._watches)
        )
        shard = Shard(self._sources, self._lateness_ms, counts.pop(clock_key(partition), None))
        shard.restore(*({key.decode(): each[key] for key in each} for each in (counts, watches)))
        log.info("rollups-%d: %d tracks", partition, len(shard.tracks))
        return shard

    def _take(self, records: Sequence[Consumed]) -> Step:
        """Step 1."""
        step, rules = Step(), self._rules.current()
        for record in records:
            # Closing the minutes of many hours takes its time, and is no standstill.
            self.progressed = time.monotonic()
            try:
                self._take_one(record, rules, step)
            except UNDECODABLE as error:
                self._letter(record, Unreadable(f"not what the monitor reads: {error}"))
            except Exception as error:
                log.exception("%s-%d@%d", record.topic, record.partition, record.offset)
                self._letter(record, error)
        return step

    def _take_one(self, record: Consumed, rules: Rules, step: Step) -> None:
        shard = self._shards[record.partition]
        if record.topic == ROLLUPS:
            shard.take(decoder.decode(record.value or b""), rules, step)
        else:
            shard.command(command_decoder.decode(record.value or b""), step)

    async def _publish(self, wanted: list[Alert]) -> None:
        """Step 2, until it succeeds: nothing is acknowledged before."""
        while True:
            try:
                published = await asyncio.to_thread(
                    self._ledger.publish, wanted, self._witness.complete
                )
            except ServerUnavailable as error:
                log.warning("%s; trying again", error)
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            for shard in self._shards.values():
                shard.adopt(alert for alert in published if alert.track in shard.tracks)
            for alert in wanted:
                self._telemetry.count(f"alert_{alert.state}")
            return

    async def _write(self, step: Step) -> None:
        """Step 3."""
        owners = {track: shard for shard in self._shards.values() for track in shard.tracks}
        for track in step.judged:
            self._watches[track.encode()] = owners[track].watch(track)
        await self._watches.written()
        for track in step.counted:
            self._counts[track.encode()] = owners[track].counts(track)
        if step.heard:
            for partition, shard in self._shards.items():
                self._counts[clock_key(partition)] = shard.clock()
        await self._counts.written()

    def _letter(self, record: Record, error: Exception) -> None:
        self._telemetry.dead_lettered(error)
        out = dead_letter(record, error)
        sent = self._letters.send(out.topic, key=out.key, value=out.value, headers=out.headers)
        self._letters.flush(timeout=30)
        sent.get(timeout=30)


def _consumed(message: Any) -> Consumed:
    headers = message.headers.items() if isinstance(message.headers, dict) else message.headers
    return Consumed(
        message.topic,
        message.partition,
        message.offset,
        int((message.timestamp or 0) * 1000),
        message.key,
        message.value,
        [(name, value) for name, value in headers or ()],
    )
