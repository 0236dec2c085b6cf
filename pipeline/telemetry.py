"""Metrics and health of one worker, on one port: /metrics, /healthz, /readyz.

`weathervane_*` metrics have base units, and no label comes from a post, an author or a track.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

STALLED_SECONDS = 60.0
"""A worker whose loop has not come round for this long is not alive, unless told otherwise."""

Check = Callable[[], tuple[bool, str]]
"""Whether all is well, and if not, why not. Called from any thread."""

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_RECORDS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096)


class Telemetry:
    """The metrics of one worker process and its state of health."""

    def __init__(
        self,
        stage: str,
        clock: Callable[[], float] = time.time,
        stalled_seconds: float = STALLED_SECONDS,
    ) -> None:
        self._clock = clock
        self._stalled_seconds = stalled_seconds
        self._allowed = stalled_seconds
        self._ready = False
        self._why = "starting"
        self._checks: list[Check] = []
        self._needs: list[Check] = []
        self._progressed = clock()
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        labels: dict[str, Any] = {"registry": self.registry, "namespace": "weathervane"}
        self._records = Counter(
            "records", "Records handled, by outcome", ["stage", "outcome"], **labels
        )
        self._letters = Counter(
            "dead_letters", "Dead letters written, by kind of error", ["stage", "error"], **labels
        )
        self._unread_media = Counter(
            "unread_media",
            "Attachments that posts are scored without",
            ["stage", "kind", "reason"],
            **labels,
        )
        self._batch = Histogram(
            "batch_records", "Records in a batch", ["stage"], buckets=_RECORDS, **labels
        )
        self._shed = Counter(
            "shed", "Posts left unscored under overload, by the stage's policy", ["stage"], **labels
        )
        self._weight = Gauge(
            "sampling_weight", "Posts that each scored one stands for", ["stage"], **labels
        )
        self._steps = Histogram(
            "step_seconds", "Seconds in one step", ["stage", "step"], buckets=_SECONDS, **labels
        )
        self._lag_records = Gauge("lag_records", "Records behind the log", ["stage"], **labels)
        self._lag_seconds = Gauge(
            "lag_seconds", "Age of the last record handled while behind", ["stage"], **labels
        )
        self._aborted = Counter(
            "aborted_transactions",
            "Transactions that were aborted; their records are read again",
            ["stage"],
            **labels,
        )
        self._unread = Counter(
            "unreadable_batches",
            "Records or batches that cannot be read as such, and were stepped over",
            ["stage"],
            **labels,
        )
        self._waiting = Gauge(
            "waiting_partitions",
            "Partitions that wait for a topic to take the answer to a record",
            ["stage"],
            **labels,
        )
        self._strangers = Gauge(
            "unread_topics", "Raw topics of platforms that are not read", ["stage"], **labels
        )
        self._is_ready = Gauge("ready", "1 when the worker takes work", ["stage"], **labels)
        self._last = Gauge(
            "last_progress_timestamp_seconds", "When the loop last came round", ["stage"], **labels
        )
        self.stage = stage
        # A series that is there from the start, at 0, can be alerted on.
        for outcome in ("ok", "dead_lettered"):
            self._records.labels(stage, outcome)
        for series in (self._shed, self._aborted, self._unread, self._waiting):
            series.labels(stage)
        self._weight.labels(stage).set(1)
        self._is_ready.labels(stage).set_function(lambda: self.readiness()[0])
        self._lag_records.labels(stage).set(0)
        self._lag_seconds.labels(stage).set(0)

    def count(self, outcome: str, amount: int = 1) -> None:
        """Count records with this outcome."""
        if amount:
            self._records.labels(self.stage, outcome).inc(amount)

    def dead_lettered(self, error: Exception) -> None:
        """Count one dead letter."""
        self.count("dead_lettered")
        self._letters.labels(self.stage, type(error).__name__).inc()

    def aborted(self) -> None:
        """Count a transaction that was aborted."""
        self._aborted.labels(self.stage).inc()

    def unread(self, letters: int) -> None:
        """Count dead letters of what cannot be read as a record or a batch."""
        if letters:
            self._unread.labels(self.stage).inc(letters)
            self.count("dead_lettered", letters)
            self._letters.labels(self.stage, "Unread").inc(letters)

    def waiting(self, partitions: int) -> None:
        """Note how many partitions wait while others go on."""
        self._waiting.labels(self.stage).set(partitions)

    def strangers(self, topics: int) -> None:
        """Note how many raw topics are left alone."""
        self._strangers.labels(self.stage).set(topics)

    def unread_media(self, kind: str, reason: str) -> None:
        """Count one attachment that a post is scored without; both of fixed words."""
        self._unread_media.labels(self.stage, kind, reason).inc()

    def shed(self, posts: int, weight: float) -> None:
        """Count posts that were shed, and note how many posts one stands for that was not."""
        self.count("shed", posts)
        self._shed.labels(self.stage).inc(posts)
        self._weight.labels(self.stage).set(weight)

    def batch(self, records: int) -> None:
        """Note the size of a batch."""
        self._batch.labels(self.stage).observe(records)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time a step of the work on a batch."""
        with self._steps.labels(self.stage, name).time():
            yield

    def lag(self, records: int, oldest_ms: int | None) -> None:
        """Note how far behind: records, and the time of the last one handled (epoch ms)."""
        self._lag_records.labels(self.stage).set(records)
        behind = records > 0 and oldest_ms is not None
        seconds = max(0.0, self._clock() - (oldest_ms or 0) / 1000) if behind else 0.0
        self._lag_seconds.labels(self.stage).set(seconds)

    def progress(self, next_seconds: float = 0.0) -> None:
        """The loop came round; the next time may take so long, where that is more than usual."""
        self._progressed = self._clock()
        self._allowed = max(self._stalled_seconds, next_seconds)
        self._last.labels(self.stage).set(self._progressed)

    def ready(self, ready: bool, why: str = "") -> None:
        """Say whether the worker takes work, and if not, why not."""
        self._ready, self._why = ready, why

    def health(self) -> tuple[bool, str]:
        """Whether the loop moves."""
        age = self._clock() - self._progressed
        if age > self._allowed:
            return False, f"no progress for {age:.0f} s"
        return _first_no(self._checks, "ok")

    def also(self, check: Check) -> None:
        """Let health depend on another part of the worker as well."""
        self._checks.append(check)

    def readiness(self) -> tuple[bool, str]:
        """Whether the worker takes work."""
        return _first_no(self._needs, "ready") if self._ready else (False, self._why)

    def needs(self, check: Check) -> None:
        """Let readiness depend on something else as well."""
        self._needs.append(check)


def _first_no(checks: Iterable[Check], yes: str) -> tuple[bool, str]:
    """The first answer that is no, or else this yes."""
    found = (check() for check in checks)
    return next((answer for answer in found if not answer[0]), (True, yes))


@contextmanager
def serve(telemetry: Telemetry, host: str, port: int) -> Iterator[int]:
    """Serve the worker's endpoints from a thread; yields the port (0 asks for a free one)."""
    metrics = make_wsgi_app(telemetry.registry)
    checks = {"/healthz": telemetry.health, "/readyz": telemetry.readiness}

    def app(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == "/metrics":
            answer: Iterable[bytes] = metrics(environ, start)
            return answer
        if path not in checks:
            start("404 Not Found", [("content-type", "text/plain")])
            return [b"try /metrics, /healthz or /readyz\n"]
        good, why = checks[path]()
        start(
            "200 OK" if good else "503 Service Unavailable", [("content-type", "application/json")]
        )
        return [json.dumps({"ok": good, "stage": telemetry.stage, "why": why}).encode()]

    server = make_server(host, port, app, ThreadingWSGIServer, handler_class=_Quiet)
    thread = threading.Thread(target=server.serve_forever, name="telemetry", daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Scrapes are not worth a log line each."""
