"""Metrics of notify. The labels are names of channels, which the operator chose."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge


class Metrics:
    """Counters in the registry of a worker."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._ended = Counter(
            "weathervane_notifications",
            "Changes told to a channel, by how it ended: delivered, failed, doubtful, retried …",
            ["channel", "outcome"],
            registry=registry,
        )
        self._waiting = Gauge(
            "weathervane_notifications_waiting",
            "Changes that wait for their channel.",
            ["channel"],
            registry=registry,
        )

    def ended(self, channel: str, outcome: str, amount: int = 1) -> None:
        """Count changes with this outcome."""
        self._ended.labels(channel, outcome).inc(amount)

    def waiting(self, channel: str, amount: int) -> None:
        """Note the length of a queue."""
        self._waiting.labels(channel).set(amount)
