"""The process of the monitor: a thread that combines, an event loop that watches, a watchdog."""

from __future__ import annotations

import asyncio
import logging
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from typing import Any

import faust
from kafka import ConsumerRebalanceListener, KafkaConsumer
from kafka.errors import KafkaError, ProducerFencedError
from prometheus_client import Gauge

from pipeline.alerts.rules import RuleFile
from pipeline.clients import BOOTSTRAP_SECONDS, consumer, producer
from pipeline.delivery import Delivery
from pipeline.errors import ServerUnavailable, WeathervaneError
from pipeline.posts_reader import PostReader
from pipeline.settings import Settings
from pipeline.store import Store, connect
from pipeline.telemetry import Telemetry
from pipeline.topics import (
    ALERT_COMMANDS,
    ALERTS,
    MONITOR,
    MONITOR_TABLES,
    ROLLUPS,
    SENTIMENT,
    provide,
)
from workers.monitor.combine import Combine
from workers.monitor.ledger import Ledger
from workers.monitor.series import Series
from workers.monitor.streams import make_app
from workers.monitor.upstream import Upstream
from workers.monitor.witness import Witness
from workers.process import watchdog, worker

COMBINE_GROUP = f"{MONITOR}-combine"
_LOOK_SECONDS = 0.2
_STOP_SECONDS = 20.0
"""After SIGTERM. Faust sometimes stands still then; nothing is lost when the process just ends."""
_SICK_SECONDS = 15.0
"""For which health may fail before the process ends."""
_RECOVERY_SECONDS = 600.0
"""For which the tables may be read."""
log = logging.getLogger(__name__)


class Assignment(ConsumerRebalanceListener):  # type: ignore[misc]
    """The partitions that a consumer has, for other threads than its own."""

    def __init__(self) -> None:
        self.partitions: frozenset[int] = frozenset()

    def on_partitions_assigned(self, assigned: Any) -> None:
        """More of them, or all."""
        self.partitions |= {place.partition for place in assigned}

    def on_partitions_revoked(self, revoked: Any) -> None:
        """Fewer of them."""
        self.partitions -= {place.partition for place in revoked}


class Stop:
    """Why and whether the process ends: a signal, or a part of it that cannot go on."""

    def __init__(self, signalled: threading.Event) -> None:
        self.signalled = signalled
        self.error: BaseException | None = None

    def fail(self, error: BaseException) -> None:
        """A part cannot go on."""
        self.error = self.error or error
        self.signalled.set()


def run(settings: Settings, port: int) -> None:
    """Run one monitor until SIGTERM.

    Raises:
        WeathervaneError: a setting is wrong, a topic is missing, or Kafka does not answer.
    """
    with worker(MONITOR, settings, port) as (telemetry, signalled), ExitStack() as stack:
        for noisy in ("faust", "aiokafka", "mode"):
            logging.getLogger(noisy).setLevel(logging.WARNING)
        stop = Stop(signalled)
        rules = RuleFile(settings.rules)
        counts = _partitions(settings)
        targets, sources = counts[ROLLUPS], counts[SENTIMENT]
        ledger = stack.enter_context(closing(Ledger.open(settings)))
        ledger.catch_up()
        letters = stack.enter_context(closing(producer(settings)))
        store = Store(stack.enter_context(closing(connect(settings.redis))))
        posts = stack.enter_context(closing(PostReader(settings, cached=100)))
        app = make_app(settings, stack.enter_context(tempfile.TemporaryDirectory()))
        series = Series(
            app,
            partitions=targets,
            sources=sources,
            lateness_ms=int(settings.monitor_lateness_seconds * 1000),
            rules=rules,
            ledger=ledger,
            witness=Witness(store, posts),
            letters=letters,
            telemetry=telemetry,
            failed=stop.fail,
        )
        telemetry.also(series.health)
        stack.enter_context(watchdog(telemetry, _SICK_SECONDS))
        with _combining(settings, targets, telemetry, stop):
            asyncio.run(_stream(app, series, telemetry, stop))


def reason(error: BaseException) -> str:
    """Where a server is why the process ends, a sentence; empty where a line of ours may be."""
    if isinstance(error, ProducerFencedError):
        return ": Kafka hung and ended its transaction meanwhile, or another process has its name"
    return f": {error}" if isinstance(error, (KafkaError, WeathervaneError)) else ""


async def _stream(app: faust.App, series: Series, telemetry: Telemetry, stop: Stop) -> None:
    """Run the Faust app until the process ends."""
    telemetry.ready(False, "the tables are being read")
    starting = asyncio.ensure_future(app.start())
    recovering = time.monotonic()
    while not stop.signalled.is_set():
        await asyncio.sleep(_LOOK_SECONDS)
        if starting.done() and starting.exception() is not None:
            stop.fail(starting.exception() or RuntimeError("the app does not start"))
        if app.crashed:
            stop.fail(app.crash_reason or RuntimeError("Faust crashed"))
        ready = starting.done() and app.tables.recovery.completed.is_set()
        telemetry.ready(ready, "the tables are being read")
        now = time.monotonic()
        if ready:
            recovering = now
        elif now - recovering < _RECOVERY_SECONDS:
            series.progressed = now
    telemetry.ready(False, "stopping")
    if stop.error is not None:
        # Faust waits for records to be acknowledged that never are.
        why = reason(stop.error)
        log.critical("the process ends%s", why, exc_info=None if why else stop.error)
        os._exit(1)
    try:
        await asyncio.wait_for(app.stop(), _STOP_SECONDS)
    except TimeoutError:
        log.warning("Faust does not stop within %.0f s; the process ends", _STOP_SECONDS)
        os._exit(0)


@contextmanager
def _combining(
    settings: Settings, targets: int, telemetry: Telemetry, stop: Stop
) -> Iterator[None]:
    """A thread that turns `sentiment` into `rollups` for the time of the block."""
    with (
        closing(consumer(settings, COMBINE_GROUP)) as source,
        closing(Upstream(settings, COMBINE_GROUP)) as upstream,
        closing(producer(settings, f"{COMBINE_GROUP}-{settings.name}")) as sink,
    ):
        ours = Assignment()
        source.subscribe([SENTIMENT], listener=ours)
        combine = Combine(
            idle_seconds=settings.monitor_idle_seconds,
            lateness_ms=int(settings.monitor_lateness_seconds * 1000),
            targets=targets,
            assigned=lambda: ours.partitions,
            upstream=upstream.look,
            telemetry=telemetry,
        )
        telemetry.needs(combine.current)
        Gauge(
            "weathervane_monitor_held_seconds",
            "For how long alerts wait for posts that a stage has not handled",
            registry=telemetry.registry,
        ).set_function(combine.held)
        delivery = Delivery(
            source,
            sink,
            combine,
            telemetry,
            settings.batch_seconds,
            pause=combine.pause,
            provide=partial(provide, settings),
        )
        thread = threading.Thread(
            target=_guarded, args=(delivery.run, stop), name="combine", daemon=True
        )
        thread.start()
        try:
            yield
        finally:
            stop.signalled.set()
            thread.join(_STOP_SECONDS)


def _guarded(work: Callable[[threading.Event], None], stop: Stop) -> None:
    try:
        work(stop.signalled)
    except BaseException as error:  # noqa: BLE001 (the main thread raises it)
        stop.fail(error)


def _partitions(settings: Settings) -> dict[str, int]:
    """Partitions of the topics that the monitor needs.

    Raises:
        ServerUnavailable: one is missing, or they do not fit together.
    """
    wait_ms = int(BOOTSTRAP_SECONDS * 1000)
    with closing(consumer(settings, None, bootstrap_timeout_ms=wait_ms)) as reader:
        known = _numbers(reader)
    names = (SENTIMENT, ROLLUPS, ALERTS, ALERT_COMMANDS, *MONITOR_TABLES)
    missing = [name for name in names if not known.get(name)]
    if missing:
        raise ServerUnavailable(
            f"the topic {missing[0]} is missing; create it with: weathervane topics create"
        )
    for name in (ALERT_COMMANDS, *MONITOR_TABLES):
        if known[name] != known[ROLLUPS]:
            raise ServerUnavailable(
                f"{name} has {known[name]} partitions and {ROLLUPS} {known[ROLLUPS]}; "
                "they must have as many"
            )
    return known


def _numbers(reader: KafkaConsumer) -> dict[str, int]:
    return {name: len(reader.partitions_for_topic(name) or ()) for name in reader.topics()}
