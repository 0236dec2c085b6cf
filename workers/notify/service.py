"""Reads `alerts`, hands each record to the channels that want it, and commits what is done.

An offset is committed once every channel has been told of the record, has given up or did not want
it. So a restart reads again what was not finished, and the ledger knows what was. The first start,
with nothing committed, tells of what goes on, and of nothing that was over before it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

from kafka import ConsumerRebalanceListener, KafkaConsumer, TopicPartition
from kafka.errors import KafkaError
from kafka.structs import OffsetAndMetadata

from pipeline.alerts.alert import Alert, alert_decoder
from pipeline.alerts.board import AlertBoard, AlertFollower
from pipeline.clients import consumer
from pipeline.errors import UNDECODABLE, WeathervaneError
from pipeline.notify.config import ConfigFile
from pipeline.notify.ledger import Ledger
from pipeline.notify.offsets import Offsets
from pipeline.records import Record
from pipeline.settings import Settings
from pipeline.store import connect
from pipeline.telemetry import Telemetry
from pipeline.topics import ALERTS
from workers.notify.courier import Courier, Tools
from workers.notify.metrics import Metrics
from workers.notify.queue import Job
from workers.notify.senders import Voice
from workers.process import worker

GROUP = "notify"
POLL_MS = 300
MOST_WAITING = 2000
"""Records that are worked on at once; then no more is read."""

log = logging.getLogger(__name__)


class Notify(ConsumerRebalanceListener):  # type: ignore[misc]
    """The loop over `alerts`.

    Args:
        caught_up: whether the board of `tools` holds all that stood in `alerts` at the start.
        now_ms: the clock, epoch milliseconds.
    """

    def __init__(
        self,
        source: KafkaConsumer,
        config: ConfigFile,
        tools: Tools,
        telemetry: Telemetry,
        *,
        caught_up: Callable[[], bool] = lambda: True,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._source = source
        self._caught_up = caught_up
        self._started_ms = now_ms()
        self._new: dict[TopicPartition, bool] = {}
        self._config = config
        self._tools = tools
        self._telemetry = telemetry
        self._now_ms = now_ms
        self._couriers: dict[str, Courier] = {}
        self._offsets = Offsets()
        self._committed: dict[TopicPartition, int] = {}

    def on_partitions_revoked(self, revoked: Any) -> None:
        """Another tells of these now."""
        for place in revoked:
            self._offsets.forget(place)
            self._committed.pop(place, None)
            self._new.pop(place, None)
            for courier in self._couriers.values():
                courier.forget(place)
        if not set(self._source.assignment()) - set(revoked):
            self._tools.active.clear()

    def on_partitions_assigned(self, assigned: Any) -> None:
        """From now on this process tells."""
        if assigned:
            self._tools.active.set()

    def run(self, stop: threading.Event) -> None:
        """Go round until `stop` is set.

        Raises:
            WeathervaneError: the thread of a channel has ended by a fault.
        """
        self._employ()
        try:
            while not self._caught_up() and not stop.wait(POLL_MS / 1000):
                self._telemetry.progress()
            while not stop.is_set():
                self._telemetry.progress()
                if self._config.changed():
                    self._employ()
                self._round()
                self._look_after()
        finally:
            for courier in self._couriers.values():
                courier.stop()
            for courier in self._couriers.values():
                courier.close()
            self._commit()

    def _round(self) -> None:
        waiting = self._offsets.waiting()
        assigned = self._source.assignment()
        if waiting > MOST_WAITING:
            self._source.pause(*assigned)
        else:
            self._source.resume(*(self._source.paused() & assigned))
        newest = None
        for place, records in self._source.poll(timeout_ms=POLL_MS).items():
            self._telemetry.batch(len(records))
            for record in records:
                self._take(place, record)
            newest = records[-1].timestamp
        self._telemetry.lag(waiting, newest)
        self._commit()

    def _take(self, place: TopicPartition, record: Record) -> None:
        alert = self._decoded(record)
        if alert is None:
            return
        # Couriers that post again look there: it must not lag behind what was told.
        self._tools.board.put(alert)
        if self._was_over(place, alert, record.timestamp):
            self._telemetry.count("over")
            return
        age_hours = (self._now_ms() - record.timestamp) / 3_600_000
        if age_hours > self._config.config.max_age_hours:
            self._telemetry.count("expired")
            return
        couriers = [c for c in self._couriers.values() if c.wants(alert)]
        self._telemetry.count("ok")
        self._offsets.begin(place, record.offset, len(couriers))
        for courier in couriers:
            courier.submit(Job(place, alert, self._done(place, record.offset)))

    def _was_over(self, place: TopicPartition, alert: Alert, timestamp: int) -> bool:
        """Whether this is the first start, and the alert was over before it."""
        if timestamp >= self._started_ms:
            return False
        if place not in self._new:
            self._new[place] = self._source.committed(place) is None
        last = self._tools.board.get(alert.id)
        return self._new[place] and last is not None and last.state == "cleared"

    def _done(self, place: TopicPartition, offset: int) -> Callable[[], None]:
        return lambda: self._offsets.done(place, offset)

    def _decoded(self, record: Record) -> Alert | None:
        if record.value is None:
            return None
        try:
            return alert_decoder.decode(record.value)
        except UNDECODABLE as error:
            log.error(
                "%s-%d@%d is no alert, left out: %s",
                record.topic,
                record.partition,
                record.offset,
                error,
            )
            self._telemetry.count("unreadable")
            return None

    def _commit(self) -> None:
        offsets = {}
        for place in self._source.assignment():
            position = self._source.position(place, timeout_ms=1000)
            if position is None:
                continue
            safe = self._offsets.safe(place, position)
            if self._committed.get(place) != safe:
                offsets[place] = OffsetAndMetadata(safe, "", -1)
        if not offsets:
            return
        try:
            self._source.commit(offsets)
            self._committed |= {place: meta.offset for place, meta in offsets.items()}
        except KafkaError as error:
            log.warning("offsets could not be committed, once more soon: %r", error)

    def _employ(self) -> None:
        """A courier for each channel of the configuration; those of unchanged ones stay."""
        config = self._config.config
        wanted = {
            channel.name: (
                channel,
                Voice(channel.language or config.language, config.page or self._tools.page),
            )
            for channel in config.channel
        }
        for name, courier in list(self._couriers.items()):
            if wanted.get(name) == (courier.channel, courier.voice):
                del wanted[name]
                continue
            left = self._couriers.pop(name).close()
            if name not in wanted:
                for job in left:
                    job.done()
                continue
            self._couriers[name] = Courier(*wanted.pop(name), self._tools)
            for job in left:
                self._couriers[name].submit(job)
        for name, (channel, voice) in wanted.items():
            self._couriers[name] = Courier(channel, voice, self._tools)

    def _look_after(self) -> None:
        broken = [courier.name for courier in self._couriers.values() if courier.broken]
        if broken:
            raise WeathervaneError(f"the thread of {', '.join(broken)} ended; the log says why")
        troubles = [c.store_error for c in self._couriers.values() if c.store_error is not None]
        why = f"the store does not answer: {troubles[0]}" if troubles else ""
        self._telemetry.ready(not troubles, why)


def page_of(settings: Settings) -> str:
    """Where the page is, unless the channels' file says otherwise."""
    return f"http://{settings.page_host}:{settings.page_port}"


def run(settings: Settings, port: int) -> None:
    """Run one notify worker until SIGTERM. A second one stands by.

    Raises:
        WeathervaneError: a setting is wrong, or Kafka does not answer.
    """
    config = ConfigFile(settings.notify)
    board = AlertBoard()
    with (
        worker(GROUP, settings, port) as (telemetry, stop),
        closing(connect(settings.redis)) as client,
        closing(AlertFollower(settings, board)) as follower,
        closing(consumer(settings, GROUP)) as source,
    ):
        follower.start()
        tools = Tools(
            ledger=Ledger(client),
            board=board,
            secrets=settings.notify_secrets,
            metrics=Metrics(telemetry.registry),
            active=threading.Event(),
            page=page_of(settings),
        )
        notify = Notify(source, config, tools, telemetry, caught_up=lambda: follower.caught_up)
        source.subscribe([ALERTS], listener=notify)
        names = ", ".join(channel.name for channel in config.config.channel)
        log.info("channels: %s", names or "none; name their file in WEATHERVANE_NOTIFY")
        notify.run(stop)
