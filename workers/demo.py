"""The demo: real posts through the real system, once or until Ctrl-C."""

from __future__ import annotations

import secrets
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import Any

import msgspec
from kafka import KafkaProducer

from pipeline.clients import producer
from pipeline.errors import Unreadable, WeathervaneError
from pipeline.platforms import DECODERS
from pipeline.post import Post, encoder
from pipeline.settings import Settings
from pipeline.topics import RAW_PREFIX
from workers.census import Census, Counted, census
from workers.commands.context import cluster, settings_here
from workers.demo_posts import DemoRecord, demo_records
from workers.progress import Progress
from workers.stack import start

STALLED_SECONDS = 90
"""`--once` gives up when nothing has changed for this long."""
DAY = 86_400.0
"""Lateness, in seconds: the posts of a day come within seconds and from two topics, and which of
those is read first says nothing about any post."""
LIVE_SECONDS = 4.0
"""Between two posts, after those of the day, for as long as someone watches."""


def run_demo(settings: Settings, once: bool, as_json: bool) -> None:
    """Start the system (or use the one that runs here), send the demo posts, and say what came.

    Raises:
        WeathervaneError: the system cannot start, or the posts are not scored in time.
    """
    local = cluster(settings)
    ours = not local.is_running()
    with _interrupted_by_sigterm():
        try:
            if ours:
                _say("starting Kafka, Redis and the workers …")
                settings = settings.model_copy(update=_of_a_day(settings))
                start(local, settings, attached=True)
            here = settings_here()
            page = local.endpoints().page
            _say(f"the page is at {page}")
            if once:
                _show(_once(here), as_json)
            else:
                _until_interrupted(here, page)
        finally:
            if ours:
                local.down()


def _of_a_day(settings: Settings) -> dict[str, float]:
    """Lateness for posts of a whole day that come at once, where the user gave none."""
    names = {"lateness_seconds", "monitor_lateness_seconds"}
    return dict.fromkeys(names - settings.model_fields_set, DAY)


def _once(settings: Settings) -> Counted:
    """Send one day of posts and wait until all of it is folded and watched."""
    records = _day()
    with closing(producer(settings)) as sink, census(settings) as counts:
        started = time.monotonic()
        for record in records:
            _send(sink, record)
        sink.flush(timeout=60)
        return _wait(counts, len(records), started)


def _wait(counts: Census, produced: int, started: float) -> Counted:
    before, changed = None, time.monotonic()
    with Progress("scored", produced) as progress:
        while True:
            now = counts.count(produced, time.monotonic() - started)
            progress.at(now.handled)
            if now.done and counts.watched(now.scored + now.duplicates):
                return counts.count(produced, time.monotonic() - started)
            state = (now.handled, now.aggregated)
            if state != before:
                before, changed = state, time.monotonic()
            elif time.monotonic() - changed > STALLED_SECONDS:
                raise WeathervaneError(
                    f"nothing has changed for {STALLED_SECONDS} s: {now}; "
                    "see .weathervane/logs for what the workers say"
                )


def _until_interrupted(settings: Settings, page: str) -> None:
    """Send one day of posts at once, then some of them again as posts of now."""
    with closing(producer(settings)) as sink:
        records = _day()
        for record in records:
            _send(sink, record)
        sink.flush(timeout=60)
        _say(f"sent the {len(records)} posts of a day; from now on one every {LIVE_SECONDS:.0f} s")
        _say(f"open {page} - Ctrl-C ends the demo")
        for post in _live(records):
            sink.send(f"{RAW_PREFIX}weathervane", key=post.id.encode(), value=encoder.encode(post))
            time.sleep(LIVE_SECONDS)


def _live(records: list[DemoRecord]) -> Iterator[Post]:
    """The readable posts of the demo, for ever, each time under a new id and dated now."""
    posts = []
    for record in records:
        try:
            post = DECODERS[record.topic.removeprefix(RAW_PREFIX)](record.value)
        except Unreadable:
            continue
        if isinstance(post, Post) and not post.deleted:
            posts.append(post)
    number = 0
    while True:
        for post in posts:
            number += 1
            again = f"{post.id}:again-{number}"
            yield msgspec.structs.replace(post, id=again, created_at=datetime.now(UTC))


def _day() -> list[DemoRecord]:
    """The demo posts of the 24 hours until now, under ids of this run: a second one counts too."""
    now = datetime.now(UTC)
    return demo_records(now.date(), until=now, run=secrets.token_hex(4))


def _send(sink: KafkaProducer, record: DemoRecord) -> None:
    sink.send(record.topic, key=record.key, value=record.value)


def _show(counted: Counted, as_json: bool) -> None:
    if as_json:
        print(msgspec.json.encode(counted).decode())
        return
    print(
        f"{counted.produced} records produced: {counted.scored} scored, "
        f"{counted.dead_lettered} dead-lettered, {counted.duplicates} duplicates, "
        f"{counted.shed} shed; "
        f"{counted.aggregated} aggregated, {counted.alerts} alerts, in {counted.seconds} s"
    )


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@contextmanager
def _interrupted_by_sigterm() -> Iterator[None]:
    """SIGTERM and the closing of the terminal end the demo as Ctrl-C does, and Ctrl-C always."""

    def interrupt(signum: int, frame: Any) -> None:
        raise KeyboardInterrupt

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
