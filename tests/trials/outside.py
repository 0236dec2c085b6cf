"""The promise, checked from outside: `python -m tests.trials.outside --posts 20000`.

It uses no module of Weathervane and nothing of the trials, only the command line, Kafka by
confluent-kafka, and signals. It starts a system in an empty folder, sends posts (some unreadable,
some twice, some edited) while it kills workers and Redis at random, reads `sentiment` and the dead
letters back, and compares the sets of ids and the totals. Prints one JSON object; exits with 1
where anything differs.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

RAW = "posts.raw.weathervane"
VICTIMS = ("ingest", "infer", "aggregate", "redis")
SILENT = ("abstained", "unread")
WORDS = ("what a day", "this is awful", "I am so happy", "好开心", "气死我了", "太可怕了")
SECONDS_BETWEEN_KILLS = (5.0, 15.0)
STALLED_SECONDS = 240.0
Sent = Counter[str]


def weathervane(folder: str, *arguments: str) -> str:
    """What a command line prints.

    Raises:
        SystemExit: it failed.
    """
    done = subprocess.run(
        [sys.executable, "-m", "workers", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"weathervane {' '.join(arguments)}: {done.stderr}")
    return done.stdout


def records(count: int, rng: random.Random) -> list[tuple[str, bytes]]:
    """Posts 0 to `count`; of a hundred one is unreadable, two come twice, two come edited."""
    found: list[tuple[str, bytes]] = []
    for number in range(count):
        created = datetime.now(UTC).isoformat()
        body = {"id": f"weathervane:{number}", "created_at": created}
        silent = number % 10 == 9
        body["text"] = f"https://t.co/{number}" if silent else f"{rng.choice(WORDS)} {number}"
        whole = json.dumps(body).encode()
        kind = rng.randrange(100)
        found.append((body["id"], whole[:-9] if kind == 0 else whole))
        if kind in (1, 2):
            found.append((body["id"], whole))
        elif kind in (3, 4):
            edited = body | {"text": f"{rng.choice(WORDS)}, edited", "revision": 1}
            found.append((body["id"], json.dumps(edited).encode()))
    return found


class Killer:
    """Kills one of the processes now and then."""

    def __init__(self, folder: str, rng: random.Random) -> None:
        self._folder, self._rng = folder, rng
        self.kills: Counter[str] = Counter()
        self._next = time.monotonic() + 3

    def look(self) -> None:
        """Kill one, if it is time to."""
        if time.monotonic() < self._next:
            return
        victim = self._rng.choice(VICTIMS)
        pid = json.loads(weathervane(self._folder, "status", "--json"))["workers"][victim]["pid"]
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
            self.kills[victim] += 1
        self._next = time.monotonic() + self._rng.uniform(*SECONDS_BETWEEN_KILLS)


def send(kafka: str, posts: list[tuple[str, bytes]], seconds: float, killer: Killer) -> None:
    """Send the posts spread over so many seconds; all are acknowledged at the end."""
    producer = Producer({"bootstrap.servers": kafka, "enable.idempotence": True})
    started = time.monotonic()
    for at, (key, value) in enumerate(posts):
        producer.produce(RAW, value, key)
        producer.poll(0)
        while time.monotonic() < started + at * seconds / len(posts):
            killer.look()
            time.sleep(0.05)
    if producer.flush(120):
        raise SystemExit("Kafka did not take all posts")


def read(kafka: str, topics: list[str], count: int) -> list[Any]:
    """The committed messages of the topics, once there are `count` or no more come."""
    consumer = Consumer(
        {"bootstrap.servers": kafka, "group.id": "outside", "isolation.level": "read_committed"}
    )
    known = consumer.list_topics(timeout=60).topics
    consumer.assign(
        [TopicPartition(t, n, OFFSET_BEGINNING) for t in topics for n in known[t].partitions]
    )
    messages: list[Any] = []
    last = time.monotonic()
    # A while longer than until the last that is expected: one too many has to be seen.
    while time.monotonic() - last < (STALLED_SECONDS if len(messages) < count else 20):
        for message in consumer.consume(1000, 1.0):
            if message.error() is None:
                messages.append(message)
                last = time.monotonic()
    consumer.close()
    return messages


def totals(folder: str, posts: int) -> dict[str, Any]:
    """`totals --json` of all posts, once it shows so many or does not change any more."""
    found: dict[str, Any] = {}
    last = time.monotonic()
    while time.monotonic() - last < STALLED_SECONDS / 4 and found.get("posts") != posts:
        now = json.loads(weathervane(folder, "totals", "--json"))["all"]
        if now != found:
            found, last = now, time.monotonic()
        time.sleep(1)
    return found


def compare(
    posts: list[tuple[str, bytes]], events: list[Any], letters: list[Any], shown: dict[str, Any]
) -> dict[str, Any]:
    """What differs; every value is 0 or empty where all is well."""
    readable: Sent = Counter(key for key, value in posts if value.endswith(b"}"))
    unreadable: Sent = Counter(key for key, value in posts if not value.endswith(b"}"))
    scored: Sent = Counter(message.key().decode() for message in events)
    dead: Sent = Counter(message.key().decode() for message in letters)
    first: dict[str, Any] = {}
    for message in events:
        first.setdefault(message.key().decode(), json.loads(message.value()))
    kinds = Counter(kind_of(event) for event in first.values())
    counted = shown["emotions"] | {name: shown[name] for name in SILENT}
    return {
        "lost": sorted((readable - scored).elements()),
        "double": sorted((scored - readable).elements()),
        "letters missing": sorted((unreadable - dead).elements()),
        "letters too many": sorted((dead - unreadable).elements()),
        "total off by": shown["posts"] - len(readable),
        "emotions that differ": sorted(
            name for name, count in counted.items() if count != kinds[name]
        ),
        "posts in no kind": shown["posts"] - sum(counted.values()),
    }


def kind_of(event: dict[str, Any]) -> str:
    """The one count that an event is in: an emotion, or that there is none."""
    if not event["modalities"]:
        return "unread"
    return "abstained" if event["abstained"] else str(event["dominant"])


def main() -> int:
    """Run it; 0 where nothing differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--posts", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=240, help="over which they are sent")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        try:
            weathervane(folder, "up")
            kafka = json.loads(weathervane(folder, "status", "--json"))["kafka"]
            posts = records(options.posts, rng)
            killer = Killer(folder, rng)
            send(kafka, posts, options.seconds, killer)
            topics = ["sentiment", f"{RAW}.dlq", "posts.dlq"]
            found = read(kafka, topics, len(posts))
            events = [message for message in found if message.topic() == "sentiment"]
            letters = [message for message in found if message.topic() != "sentiment"]
            shown = totals(folder, len({message.key() for message in events}))
        finally:
            weathervane(folder, "down")
    wrong = compare(posts, events, letters, shown)
    about: dict[str, Any] = {"sent": len(posts), "events": len(events), "letters": len(letters)}
    about |= {"total": shown["posts"], "kills": dict(killer.kills)}
    print(json.dumps(about | wrong, ensure_ascii=False, indent=1))
    return int(any(wrong.values()) or not killer.kills)


if __name__ == "__main__":
    sys.exit(main())
