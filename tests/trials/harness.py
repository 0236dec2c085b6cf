"""How a trial sends posts, injects faults, waits, and settles with the oracle."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
import urllib.request
import xmlrpc.client
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import redis
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from supervisor.xmlrpc import SupervisorTransport

from tests.ports import free_port
from tests.trials.oracle import RAW, Verdict, audit, read
from tests.trials.report import Row
from tests.waiting import until
from tests.workers.stack import Stack
from workers.local.cluster import Cluster
from workers.local.readiness import host_and_port, is_ready
from workers.local.supervision import Supervisor

SEED = 20_260_301
WORKERS = ("ingest", "infer", "aggregate")
ACKNOWLEDGED_SECONDS = 290
"""Longest time until Kafka has taken what is sent; the client gives up a record after 300 s."""
QUIET_SECONDS = 180
"""A run in which nothing has changed for so long is over."""
PROGRESS_SECONDS = 60
"""Longest time without any progress, after a fault or at the end, that a trial allows."""
_FOLD_BYTES = 3000
"""A fold of 8 events has some 6,000; a search for their duplicates 1,000, of a position 60."""
_NO_COORDINATOR = (
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
)
_INPUT = {"ingest": RAW, "infer": "posts"}
_WORDS = ("what a day", "this is awful", "I am so happy", "好开心", "气死我了", "太可怕了")

Record = tuple[str, bytes]
"""The key, which is the post's id, and the value."""


def post(number: int, **fields: Any) -> dict[str, Any]:
    """Post `number`: the same text each time, dated within the last five minutes."""
    rng = random.Random(SEED + number)
    created = datetime.now(UTC) - timedelta(seconds=rng.randrange(300))
    text = f"{rng.choice(_WORDS)} {number}"
    return {"id": f"weathervane:{number}", "created_at": created.isoformat(), "text": text} | fields


def version(number: int, revision: int) -> dict[str, Any]:
    """The edit of post `number` with this revision; 0 is the post itself."""
    if revision == 0:
        return post(number)
    edited_at = datetime.now(UTC) + timedelta(seconds=revision)
    text = f"{_WORDS[(number + revision) % len(_WORDS)]} {number}, edited"
    return post(number, text=text, revision=revision, edited_at=edited_at.isoformat())


def record(body: dict[str, Any]) -> Record:
    """A post as it is sent."""
    return body["id"], json.dumps(body).encode()


class Fault:
    """A fault at one stage: when it began (or ended), and how far the stage was."""

    def __init__(self, trial: Trial, stage: str) -> None:
        self.stage = stage
        self.before = trial.progress(stage)
        self.at = time.monotonic()


class Trial:
    """One system under trial."""

    def __init__(self, stack: Stack, posts: int, row: Row) -> None:
        self.stack, self.posts, self.row = stack, posts, row
        self.home = stack.folder / ".weathervane"
        self._supervisor = Supervisor(self.home)
        status = Cluster(self.home).status()
        self.kafka, self.redis, self.page = status["kafka"], status["redis"], status["page"]
        self.ports = {name: worker["port"] for name, worker in status["workers"].items()}
        self.random = random.Random(SEED)
        self.store = redis.Redis.from_url(self.redis, socket_timeout=30, decode_responses=True)
        self._producer = Producer({"bootstrap.servers": self.kafka, "enable.idempotence": True})
        self._offsets = {
            role: Consumer({"bootstrap.servers": self.kafka, "group.id": role}) for role in _INPUT
        }
        topics = self._offsets["infer"].list_topics("sentiment", timeout=10).topics
        self.partitions = sorted(topics["sentiment"].partitions)
        self._sent = 0
        self._next = 0

    def __enter__(self) -> Trial:
        return self

    def __exit__(self, *error: object) -> None:
        for consumer in self._offsets.values():
            consumer.close()
        del self._producer
        self.store.close()

    # What is sent.

    def send(self, records: Iterable[Record], topic: str = RAW) -> None:
        """Send records; all of them are acknowledged when this returns."""
        refused: list[str] = []

        def delivered(error: object, message: object) -> None:
            if error is not None:
                refused.append(str(error))

        for key, value in records:
            self._producer.produce(topic, value, key.encode(), on_delivery=delivered)
            self._sent += 1
        assert self._producer.flush(ACKNOWLEDGED_SECONDS) == 0
        assert not refused, refused

    def send_posts(self, count: int, versions: int = 1) -> list[str]:
        """Send the next `count` posts, each tenth with edits up to so many versions; their ids."""
        numbers = range(self._next, self._next + count)
        self._next += count
        self.send(
            record(version(number, revision))
            for number in numbers
            for revision in range(versions if number % 10 == 0 else 1)
        )
        return [str(post(number)["id"]) for number in numbers]

    def sent_back(self, count: int) -> None:
        """Note that a redrive has sent records."""
        self._sent += count

    # What runs.

    def pid(self, name: str) -> int | None:
        """The process id of a worker or server; None where nothing runs."""
        return next((p.pid for p in self._supervisor.processes() if p.name == name), None)

    def running(self, name: str) -> int:
        """The same, of one that must run."""
        pid = self.pid(name)
        assert pid is not None, f"{name} does not run"
        return pid

    def gone(self, name: str, pid: int) -> bool:
        """Whether it does not run under this process id any more."""
        return self.pid(name) != pid

    def ready(self, name: str) -> bool:
        """Whether it answers."""
        if name in ("kafka", "redis"):
            return bool(Cluster(self.home).status()["workers"][name]["ready"])
        return is_ready(self.ports[name])

    def control(self, method: str, *arguments: object) -> object:
        """Call supervisord, as its own tool does."""
        socket = (self.home / "supervisord.socket-path").read_text()
        transport = SupervisorTransport(None, None, f"unix://{socket}")
        with xmlrpc.client.ServerProxy("http://localhost", transport=transport) as proxy:
            return getattr(proxy.supervisor, method)(*arguments)

    # What is done to it.

    def kill(self, name: str, stage: str | None = None) -> Fault:
        """SIGKILL it, and see that it is gone; the fault of `stage`, its own unless given."""
        pid = self.running(name)
        os.kill(pid, signal.SIGKILL)
        until(lambda: self.gone(name, pid), f"{name} is gone")
        return Fault(self, stage or name)

    def restarted(self, name: str, pid: int, seconds: float = PROGRESS_SECONDS) -> None:
        """Until it runs under another process id and answers."""

        def again() -> bool:
            return self.pid(name) not in (None, pid) and self.ready(name)

        until(again, f"{name} runs again", seconds)

    @contextmanager
    def stopped(self, pid: int) -> Iterator[None]:
        """SIGSTOP the process for the block; it is seen to be stopped."""
        os.kill(pid, signal.SIGSTOP)
        try:
            until(lambda: state(pid) == "T", f"process {pid} is stopped")
            yield
            assert state(pid) == "T", f"process {pid} did not stay stopped"
        finally:
            os.kill(pid, signal.SIGCONT)

    @contextmanager
    def stalled(self) -> Iterator[bool]:
        """SIGSTOP Redis for the block, as soon as the aggregator waits for it.

        Yields whether it waits in a fold (or in the search for duplicates of a large batch).
        """
        with self.stopped(self.running("redis")):
            until(lambda: waiting_bytes(self.redis) > 0, "a call waits in the store's socket")
            yield waiting_bytes(self.redis) > _FOLD_BYTES

    @contextmanager
    def another(self, role: str) -> Iterator[subprocess.Popen[bytes]]:
        """A second worker of a role, named `other`, in the group; at the end it is drained."""
        port = free_port()
        command = [sys.executable, "-m", "workers", "run", role, "--name", "other"]
        with (self.home / "logs" / f"{role}-other.log").open("ab") as log:
            process = subprocess.Popen(
                [*command, "--port", str(port)], cwd=self.stack.folder, stdout=log, stderr=log
            )
        try:
            until(lambda: is_ready(port) and len(self.members(role)) == 2, f"two {role} run", 90)
            yield process
            process.terminate()
            assert process.wait(30) == 0
        finally:
            process.kill()
            process.wait()

    # How far it is.

    def progress(self, stage: str) -> int:
        """Committed offsets of ingest or infer, events counted by aggregate: only ever more."""
        if stage == "aggregate":
            pipe = self.store.pipeline(transaction=False)
            for partition in self.partitions:
                pipe.hget(f"wv:{{p{partition}}}:position", "events")
            return sum(int(events or 0) for events in pipe.execute())
        return sum(self.committed(stage).values())

    def committed(self, stage: str) -> dict[int, int]:
        """Committed offsets of ingest or infer, by partition."""
        topic, consumer = _INPUT[stage], self._offsets[stage]
        numbers = consumer.list_topics(topic, timeout=5).topics[topic].partitions
        places = [TopicPartition(topic, number) for number in numbers]
        found: list[TopicPartition] = []

        def answered() -> bool:
            try:
                # Not while a transaction is open: that of a stopped worker expires after 30 s.
                found[:] = consumer.committed(places, timeout=60)
            except KafkaException as error:
                if error.args[0].code() in _NO_COORDINATOR:
                    return False
                raise
            return True

        until(answered, "the group has a coordinator", PROGRESS_SECONDS)
        return {place.partition: max(0, place.offset) for place in found}

    def wait_progress(self, stage: str, to: int, seconds: float = PROGRESS_SECONDS) -> None:
        """Until the stage has come so far."""
        until(lambda: self.progress(stage) >= to, f"{stage} has come to {to}", seconds)

    def recovers(self, fault: Fault, seconds: float = PROGRESS_SECONDS) -> None:
        """Until the stage handles new records after the fault; how long it took is noted."""

        def moved() -> bool:
            try:
                return self.progress(fault.stage) > fault.before
            except (KafkaException, redis.RedisError):
                return False

        until(moved, f"{fault.stage} makes progress again", seconds)
        self.row.recovery = max(self.row.recovery or 0.0, time.monotonic() - fault.at)

    def members(self, role: str) -> dict[str, int]:
        """Members of the role's group and how many partitions of its input each has.

        Empty while no broker answers for the group, as just after a start.
        """
        admin = AdminClient({"bootstrap.servers": self.kafka})
        try:
            group = admin.describe_consumer_groups([role])[role].result(10)
        except KafkaException as error:
            if error.args[0].code() in _NO_COORDINATOR:
                return {}
            raise
        return {
            member.client_id: len(member.assignment.topic_partitions) for member in group.members
        }

    # What came of it.

    def settle(self, letters: Collection[str] = ()) -> Verdict:
        """Wait until all is handled, and hold the run to the oracle, to `letters` and the page.

        Raises:
            AssertionError: the run is not exact, or other records were dead-lettered.
        """
        verdict = self._quiet(lambda: audit(self.kafka, self.redis))
        row = self.row
        row.posts, row.lost, row.double = self._sent, len(verdict.lost), len(verdict.double)
        row.wrong = len(verdict.wrong)
        assert verdict.exact, str(verdict)
        assert set(verdict.letters) == set(letters), str(verdict)
        assert self.shown() == verdict.scored
        return verdict

    def events(self) -> list[dict[str, Any]]:
        """All of `sentiment`."""
        return [json.loads(message.value()) for message in read(self.kafka, ["sentiment"])]

    def shown(self) -> int:
        """Posts that the page shows."""
        return int(self._totals()["posts"])

    def stale(self) -> bool:
        """Whether the page says that its counts are not up to date; yes while it has none."""
        try:
            return bool(self._totals()["stale"])
        except OSError:
            return True

    def _totals(self) -> dict[str, Any]:
        url = f"{self.page}/api/v1/totals"
        with urllib.request.urlopen(url, timeout=20) as answer:  # noqa: S310 (the page's own)
            totals: dict[str, Any] = json.load(answer)["all"]
        return totals

    def _quiet(self, read: Callable[[], Verdict]) -> Verdict:
        """The verdict once it is exact twice running, or once nothing changes any more."""
        last, changed = "", time.monotonic()
        exact = False
        while True:
            verdict = read()
            complete = verdict.exact and verdict.produced == self._sent
            if complete and exact:
                return verdict
            exact = complete
            if str(verdict) != last:
                last, changed = str(verdict), time.monotonic()
            elif time.monotonic() - changed > QUIET_SECONDS:
                return verdict
            time.sleep(1)


def state(pid: int) -> str:
    """The state letter of a process (proc(5)): T is stopped, Z ended."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def children(pid: int) -> dict[int, str]:
    """Command lines of a process's children, whichever thread started them, by process id."""
    lists = [path.read_text().split() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    found = [int(child) for listed in lists for child in listed]
    return {c: Path(f"/proc/{c}/cmdline").read_text().replace("\0", " ") for c in found}


def waiting_bytes(url: str) -> int:
    """Bytes that clients have sent to the server of the URL and it has not read (proc(5), tcp)."""
    port = host_and_port(url)[1]
    total = 0
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if int(fields[1].partition(":")[2], 16) == port and fields[3] == "01":
            total += int(fields[4].partition(":")[2], 16)
    return total
