"""`replay`: which alerts some rules would have raised, beside those that were raised.

Reads `sentiment` and `alerts` without a group and writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
from kafka import KafkaConsumer, TopicPartition
from rich.console import Console
from rich.table import Table

from pipeline.alerts.alert import Alert, alert_decoder
from pipeline.alerts.backtest import Backtest, Past, compare
from pipeline.alerts.rules import Rules, load_rules
from pipeline.buckets import MINUTE
from pipeline.clients import consumer
from pipeline.errors import UNDECODABLE, ServerUnavailable, WeathervaneError
from pipeline.event import event_decoder
from pipeline.reading import until_ends
from pipeline.records import Record
from pipeline.rollups import Arrived
from pipeline.settings import Settings
from pipeline.times import AwareTime
from pipeline.topics import ALERTS, SENTIMENT
from workers.progress import Progress


class Replayed(msgspec.Struct):
    """What `replay --json` prints: the last state of each alert, the same spike once."""

    start: AwareTime = msgspec.field(name="from")
    end: AwareTime = msgspec.field(name="to")
    rules: tuple[str, ...]
    events: int
    """Events read: those before `from` teach what is usual."""
    both: list[Alert]
    """Would fire and did, as they would be."""
    would: list[Alert]
    """Would fire and did not."""
    did: list[Alert]
    """Did fire and would not."""


def replay(
    settings: Settings, start: datetime, end: datetime, rules: Path | None, as_json: bool
) -> None:
    """Print what the rules of the file would have made of [start, end).

    Raises:
        WeathervaneError: a wrong file, an empty range, or Kafka does not answer.
    """
    if start >= end:
        raise WeathervaneError(f"replay: --from ({start}) must be before --to ({end})")
    path = rules or settings.rules
    wanted = Rules() if path is None else load_rules(path)
    backtest = Backtest(end)
    with closing(consumer(settings, None)) as source:
        for batch in _all(source, SENTIMENT):
            backtest.add(_events(batch))
        did = [alert for batch in _all(source, ALERTS) for alert in _alerts(batch)]
    would: list[Alert] = []
    with Progress("tracks judged", backtest.tracks) as progress:
        for number, changes in enumerate(backtest.judge(wanted), 1):
            would += changes
            progress.at(number)
    rows = compare(would, [alert for alert in did if alert.fired_at < end], start)
    if as_json:
        print(msgspec.json.encode(_replayed(rows, start, end, wanted, backtest.events)).decode())
    else:
        _show(rows, backtest.events)


def _all(source: KafkaConsumer, topic: str) -> Iterator[list[Record]]:
    """All that a topic holds now."""
    numbers = source.partitions_for_topic(topic)
    if not numbers:
        raise ServerUnavailable(f"there is no topic {topic}")
    places = [TopicPartition(topic, number) for number in sorted(numbers)]
    source.assign(places)
    source.seek_to_beginning(*places)
    yield from until_ends(source, source.end_offsets(places))


def _events(batch: list[Record]) -> Iterator[Arrived]:
    for record in batch:
        try:
            event = event_decoder.decode(record.value or b"")
        except UNDECODABLE:
            # The monitor made a dead letter of it.
            continue
        if event.revision == 0:
            yield Arrived(event, record.timestamp)


def _alerts(batch: list[Record]) -> Iterator[Alert]:
    for record in batch:
        try:
            yield alert_decoder.decode(record.value or b"")
        except UNDECODABLE:
            continue


def _replayed(
    rows: list[Past], start: datetime, end: datetime, rules: Rules, events: int
) -> Replayed:
    return Replayed(
        start=start,
        end=end,
        rules=rules.names,
        events=events,
        both=[row.would for row in rows if row.would and row.did],
        would=[row.would for row in rows if row.would and not row.did],
        did=[row.did for row in rows if row.did and not row.would],
    )


def _show(rows: list[Past], events: int) -> None:
    table = Table("track", "series", "onset", "would fire", "did fire")
    for row in rows:
        alert = row.alert
        onset = f"{alert.onset:%Y-%m-%d %H:%M}"
        table.add_row(alert.track, alert.series, onset, _said(row.would), _said(row.did))
    console = Console()
    console.print(table)
    both = sum(row.would is not None and row.did is not None for row in rows)
    would = sum(row.would is not None for row in rows)
    console.print(
        f"{events} events: {would} alerts would fire, {both} of them did; "
        f"{len(rows) - would} more did fire and would not."
    )


def _said(alert: Alert | None) -> str:
    if alert is None:
        return "-"
    minute = alert.fired_at - timedelta(seconds=MINUTE)
    return f"severity {alert.severity}, at {minute:%H:%M}, {alert.state}"
