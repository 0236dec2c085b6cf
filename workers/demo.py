"""The demo: real posts through the real system, once or until Ctrl-C."""

from __future__ import annotations

import fcntl
import secrets
import signal
import sys
import time
from collections.abc import Callable, Iterator
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
from workers.commands.context import DEMO
from workers.demo_posts import DemoRecord, demo_records
from workers.local.cluster import Cluster
from workers.local.folder import explained
from workers.progress import Progress
from workers.stack import check_wish, start

STALLED_SECONDS = 90
"""`--once` gives up when nothing has changed for this long."""
DAY = 86_400.0
"""Lateness, in seconds: the posts of a day come within seconds and from two topics, and which of
those is read first says nothing about any post."""
LIVE_SECONDS = 4.0
"""Between two posts, after those of the day, for as long as someone watches."""
_APART = {"kafka": "", "redis": "", "kafka_security": "PLAINTEXT", "notify": None}
"""Nothing that the demo writes reaches another system or another person."""


def run_demo(settings: Settings, once: bool, as_json: bool) -> None:
    """Start a system of its own, send the demo posts into it, say what came, and end it.

    Neither the system that runs in this folder nor the servers that the settings name are touched,
    and no channel is told of its alerts.

    Raises:
        WeathervaneError: the system cannot start, or the posts are not scored in time, or there is
            a demo in this folder already.
    """
    local = Cluster(DEMO, page_port=settings.page_port)
    with _alone(local) as alone:
        if not alone:
            _say_second(local, once)
            return
        if local.is_running():
            # What is left of a demo that was killed is just ending.
            local.down()
        if settings.kafka or settings.redis:
            _say(
                "the demo has a Kafka and a Redis of its own; those of the settings are left alone"
            )
        with _interrupted(), _ended(local):
            _say("starting Kafka, Redis and the workers …")
            settings = settings.model_copy(update=_of_a_day(settings) | _APART)
            check_wish(settings)
            start(local, settings, attached=True)
            ends = local.endpoints()
            _say(f"the page is at {ends.page}")
            here = settings.model_copy(update={"kafka": ends.kafka, "redis": ends.redis})
            if once:
                _show(_once(here), as_json)
            else:
                _until_interrupted(here, ends.page)


@contextmanager
def _alone(local: Cluster) -> Iterator[bool]:
    """Whether this is the only demo of the folder, for as long as it goes on."""
    with explained(local.home):
        local.home.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (local.home.parent / "demo.lock").open("w")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _say_second(local: Cluster, once: bool) -> None:
    ends = "Ctrl-C in its own terminal ends it"
    if once:
        raise WeathervaneError(
            f"a demo runs in this folder already, and its posts would be counted too: {ends}, "
            "or call this one in another folder"
        )
    _say(f"a demo runs in this folder already: its page is at {local.endpoints().page}; {ends}")


@contextmanager
def _ended(local: Cluster) -> Iterator[None]:
    """End the system with the block, and say so where that was not what it came to."""
    try:
        yield
    except KeyboardInterrupt:
        _say(
            "\nending the demo: workers finish what they have in hand, then Kafka and Redis stop …"
        )
        raise
    finally:
        with _uninterrupted():
            local.down()
            _say(f"the demo has ended, and no process is left; its data and logs stay in {DEMO}")


def _of_a_day(settings: Settings) -> dict[str, Any]:
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
                    "see weathervane logs for what the workers say"
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
def _interrupted() -> Iterator[None]:
    """SIGTERM and the closing of the terminal end the demo as Ctrl-C does, and Ctrl-C always."""

    def interrupt(signum: int, frame: Any) -> None:
        raise KeyboardInterrupt

    with _handled(interrupt):
        yield


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """A further Ctrl-C is answered, and stops nothing halfway."""

    def answer(signum: int, frame: Any) -> None:
        _say("still ending: this takes up to 30 s")

    with _handled(answer):
        yield


@contextmanager
def _handled(handler: Callable[[int, Any], None]) -> Iterator[None]:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, handler_before in before.items():
            signal.signal(number, handler_before)
