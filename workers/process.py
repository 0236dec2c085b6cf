"""What every worker process has: logs on stderr, signals, an endpoint for metrics and health."""

from __future__ import annotations

import errno
import faulthandler
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from prometheus_client import disable_created_metrics

from pipeline.errors import WeathervaneError
from pipeline.settings import Settings
from pipeline.telemetry import Telemetry, serve

log = logging.getLogger(__name__)


def log_to_stderr(level: int = logging.INFO) -> None:
    """Plain log lines on stderr; of kafka-python only the errors, a line each."""
    logging.basicConfig(
        stream=sys.stderr,
        level=level,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        force=True,
    )
    logging.getLogger("kafka").setLevel(logging.ERROR)
    for handler in logging.getLogger().handlers:
        handler.addFilter(_without_trace)


def _without_trace(record: logging.LogRecord) -> bool:
    """A broker that goes away is no fault of the client: where it was noticed tells nothing."""
    if record.exc_info and record.name.startswith("kafka."):
        record.msg, record.args = f"{record.getMessage()}: {record.exc_info[1]!r}", ()
        record.exc_info = record.exc_text = None
    return True


@contextmanager
def stop_on_signals() -> Iterator[threading.Event]:
    """An event that SIGTERM and SIGINT set; the worker then finishes the batch in hand."""
    stop = threading.Event()

    def handle(signum: int, frame: Any) -> None:
        log.info("%s: finishing the batch in hand", signal.Signals(signum).name)
        stop.set()

    before = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def watchdog(telemetry: Telemetry, seconds: float) -> Iterator[None]:
    """End the process once it has not been alive for so long, so that it is started again.

    It says where each thread stands. Nothing is drained: what is under way is repeated.
    """
    ended = threading.Event()

    def watch() -> None:
        sick_since: float | None = None
        while not ended.wait(min(1.0, seconds / 4)):
            alive, why = telemetry.health()
            if alive:
                sick_since = None
                continue
            sick_since = sick_since or time.monotonic()
            if time.monotonic() - sick_since >= seconds:
                log.critical("%s: the process ends", why)
                faulthandler.dump_traceback(all_threads=True)
                os._exit(1)

    thread = threading.Thread(target=watch, name="watchdog", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def check_port(host: str, port: int) -> None:
    """Whether a server can listen there; port 0 always can.

    Raises:
        WeathervaneError: it cannot, in a sentence.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise WeathervaneError(
                f"port {port} of {host} is taken by another program: end that, or name another "
                "port with --port"
            ) from error
        raise WeathervaneError(f"cannot listen at {host}:{port}: {error.strerror}") from error


@contextmanager
def worker(
    stage: str, settings: Settings, port: int
) -> Iterator[tuple[Telemetry, threading.Event]]:
    """Set up one worker: logs, signals, and its endpoint on `port` (0 for a free one)."""
    log_to_stderr()
    check_port(settings.metrics_host, port)
    # A second series a metric, with the time of its making, helps nobody here.
    disable_created_metrics()  # type: ignore[no-untyped-call]
    telemetry = Telemetry(stage, stalled_seconds=settings.stalled_seconds)
    with stop_on_signals() as stop, serve(telemetry, settings.metrics_host, port) as actual:
        log.info("%s %s: metrics and health on port %d", stage, settings.name, actual)
        yield telemetry, stop
    log.info("%s %s: stopped", stage, settings.name)
