"""The metrics of the page's server. No label comes from a track, a post or a query."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.lag import STAGES, LagOfGroup


class Metrics:
    """One registry for one application."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = Counter(
            "weathervane_api_requests",
            "Requests answered.",
            ["route", "status"],
            registry=self.registry,
        )
        self.seconds = Histogram(
            "weathervane_api_request_duration_seconds",
            "Time until the answer begins.",
            ["route"],
            registry=self.registry,
        )
        self.clients = Gauge(
            "weathervane_api_stream_clients", "Open event streams.", registry=self.registry
        )
        self.events = Counter(
            "weathervane_api_stream_events",
            "Events put into the streams.",
            ["event"],
            registry=self.registry,
        )
        self.overruns = Counter(
            "weathervane_api_stream_overruns",
            "Times a slow client's queue was dropped and a snapshot sent instead.",
            registry=self.registry,
        )
        self._waiting = Gauge(
            "weathervane_waiting_records",
            "Records that wait in front of a stage; NaN where that is not known.",
            ["stage"],
            registry=self.registry,
        )

    def tell_lag(self, lag: Callable[[], Mapping[str, LagOfGroup] | None]) -> None:
        """Take the records that wait from what `lag` answers at each scrape."""

        def records(stage: str) -> float:
            found = (lag() or {}).get(stage)
            return math.nan if found is None else found.records

        for stage in STAGES:
            self._waiting.labels(stage).set_function(partial(records, stage))


class Measured:
    """ASGI middleware: count and time each request under the path of its route."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Observe when the answer begins: a stream never ends by itself."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()

        async def send_measured(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = getattr(scope.get("route"), "path", None) or "other"
                self._metrics.requests.labels(route, message["status"]).inc()
                self._metrics.seconds.labels(route).observe(time.perf_counter() - began)
            await send(message)

        await self._app(scope, receive, send_measured)
