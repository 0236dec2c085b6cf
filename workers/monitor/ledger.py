"""The alerts that are out, and the only way to publish more.

Before a state is published, `alerts` is read to its end: what a monitor published before it died,
or before its track moved to this one, is not published again.

Not guaranteed: a monitor that was stopped between reading and writing, whose track moved on
meanwhile, writes its state again once it goes on. Readers know it by id and sequence.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Self

import msgspec
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError

from pipeline.alerts.alert import Alert, alert_decoder
from pipeline.alerts.evidence import with_posts_of
from pipeline.alerts.reconcile import reconcile
from pipeline.clients import consumer, producer
from pipeline.errors import UNDECODABLE, ServerUnavailable
from pipeline.headers import cloud_event
from pipeline.post import encoder
from pipeline.reading import until_ends
from pipeline.settings import Settings
from pipeline.topics import ALERTS

REMEMBERED = 20_000
"""Alerts whose last state is kept: many times what one day brings."""
_SECONDS = 30.0


class Ledger:
    """Reads and writes `alerts`. Used by one thread at a time."""

    def __init__(self, source: KafkaConsumer, sink: KafkaProducer) -> None:
        self._source, self._sink = source, sink
        self._last: OrderedDict[str, Alert] = OrderedDict()
        self._places = [
            TopicPartition(ALERTS, number)
            for number in sorted(source.partitions_for_topic(ALERTS) or ())
        ]
        source.assign(self._places)
        source.seek_to_beginning(*self._places)

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """A ledger with its own clients.

        Raises:
            ServerUnavailable: Kafka does not answer.
        """
        return cls(consumer(settings, None), producer(settings))

    def close(self) -> None:
        """Close both clients."""
        self._source.close()
        self._sink.close()

    def catch_up(self) -> None:
        """Read `alerts` to its end.

        Raises:
            ServerUnavailable: Kafka does not answer.
        """
        try:
            for batch in until_ends(self._source, self._source.end_offsets(self._places)):
                for record in batch:
                    self._note(record.value)
        except KafkaError as error:
            raise ServerUnavailable(f"{ALERTS} cannot be read: {error!r}") from error

    def published(self, alert_id: str) -> Alert | None:
        """The last state of an alert, as of the last `catch_up`."""
        return self._last.get(alert_id)

    def publish(
        self, wanted: Sequence[Alert], complete: Callable[[Alert], Alert] = lambda alert: alert
    ) -> list[Alert]:
        """Publish states in their order, but for those that are out; the last state of each id.

        `complete` adds the posts to the evidence of a state that is about to be published. The
        states after it keep them, until the alert grows.

        Raises:
            ServerUnavailable: Kafka does not answer; whether they are out is not known.
        """
        self.catch_up()
        for alert in wanted:
            before = self._last.get(alert.id)
            state = reconcile(before, alert)
            if state is None:
                continue
            if before is not None:
                evidence = with_posts_of(before.evidence, state.evidence)
                state = msgspec.structs.replace(state, evidence=evidence)
            if before is None or state.severity > before.severity:
                state = complete(state)
            self._send(state)
        return [self._last[name] for name in dict.fromkeys(alert.id for alert in wanted)]

    def _send(self, alert: Alert) -> None:
        headers = cloud_event(
            "weathervane.alert", "/weathervane/monitor", f"{alert.id}:{alert.sequence}", []
        )
        try:
            future = self._sink.send(
                ALERTS, key=alert.id.encode(), value=encoder.encode(alert), headers=headers
            )
            self._sink.flush(timeout=_SECONDS)
            future.get(timeout=_SECONDS)
        except KafkaError as error:
            raise ServerUnavailable(f"an alert is not written: {error!r}") from error
        self._keep(alert)

    def _note(self, value: bytes | None) -> None:
        try:
            alert = alert_decoder.decode(value or b"")
        except UNDECODABLE:
            # Not ours: somebody else writes to the topic, or a later version did.
            return
        before = self._last.get(alert.id)
        if before is None or alert.sequence >= before.sequence:
            self._keep(alert)

    def _keep(self, alert: Alert) -> None:
        self._last[alert.id] = alert
        self._last.move_to_end(alert.id)
        while len(self._last) > REMEMBERED:
            self._last.popitem(last=False)
