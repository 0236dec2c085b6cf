"""`check` over servers of its own, each fault made for real."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
from kafka import KafkaAdminClient, KafkaProducer
from kafka.admin import ConfigResource, ConfigResourceType

from pipeline.errors import WeathervaneError
from pipeline.partition_count import PartitionChange, known_partitions, note_partitions
from pipeline.settings import Settings
from pipeline.topics import POSTS, SENTIMENT, create_topics
from tests.waiting import until
from tests.workers.own_redis import free_port
from workers.check import run_checks
from workers.checks.disk import room
from workers.checks.finding import Finding
from workers.checks.kafka import skew
from workers.local.cluster import Cluster, Endpoints

pytestmark = pytest.mark.servers
SECONDS = 5.0
"""Longest time that one server may take of somebody's patience."""


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoints]:
    """Servers that are only this module's: their topics are spoilt."""
    cluster = Cluster(tmp_path_factory.mktemp("own"))
    cluster.up(
        workers=lambda endpoints: [],
        prepare=lambda endpoints: None,
        environment=lambda endpoints: {},
        attached=True,
    )
    yield cluster.endpoints()
    cluster.down()


@pytest.fixture
def settings(own: Endpoints) -> Settings:
    made = Settings(kafka=own.kafka, redis=own.redis, partitions=2)
    create_topics(made)
    return made


@pytest.fixture
def admin(own: Endpoints) -> Iterator[KafkaAdminClient]:
    with closing(KafkaAdminClient(bootstrap_servers=own.kafka)) as made:
        yield made


@pytest.fixture
def store(own: Endpoints) -> Iterator[Any]:
    with closing(redis.Redis.from_url(own.redis, protocol=2)) as client:
        client.flushdb()
        yield client


def lines(
    capsys: pytest.CaptureFixture[str], settings: Settings, *only: str
) -> tuple[list[tuple[str, str]], str]:
    """What was found, (level, text), and the sentence at the end."""
    capsys.readouterr()
    ended = ""
    try:
        run_checks(settings, only, as_json=True)
    except WeathervaneError as error:
        ended = str(error)
    found = json.loads(capsys.readouterr().out)
    return [(line["level"], line["text"]) for line in found], ended


def is_said(found: list[tuple[str, str]], level: str, *words: str) -> bool:
    return any(at == level and all(word in text for word in words) for at, text in found)


def test_a_fresh_system_is_in_order(
    capsys: pytest.CaptureFixture[str], settings: Settings, store: Any
) -> None:
    found, ended = lines(capsys, settings, "kafka", "topics", "redis", "clock")
    assert ended == ""
    assert {level for level, _ in found} == {"ok"}
    run_checks(settings, ["topics"])
    assert capsys.readouterr().out.startswith("ok       topics   all ")


@contextmanager
def altered(admin: KafkaAdminClient, topic: str, name: str, value: str) -> Iterator[None]:
    resource = ConfigResource(ConfigResourceType.TOPIC, topic)
    told = admin.describe_configs([resource], config_filter="all")["topic"][topic][name]
    before = str(told["value"] if isinstance(told, dict) else told)
    for each in (value, before):
        change = ConfigResource(ConfigResourceType.TOPIC, topic, configs={name: each})
        admin.alter_configs([change])
        if each == value:
            yield


@pytest.mark.parametrize(
    ("topic", "name", "value", "level", "said"),
    [
        (POSTS, "max.message.bytes", "100000", "failed", "max.message.bytes is 100000"),
        ("posts.dlq", "max.message.bytes", "2000000", "failed", "of up to 2100000"),
        (POSTS, "retention.ms", "3600000", "failed", "kept for 1 h and 48 h are set"),
        (POSTS, "retention.ms", "-1", "warning", "kept for ever and 48 h are set"),
        (SENTIMENT, "retention.bytes", "1000000", "warning", "retention.bytes is 1000000"),
        (SENTIMENT, "message.timestamp.type", "CreateTime", "failed", "must be LogAppendTime"),
        (POSTS, "cleanup.policy", "compact", "failed", "cleanup.policy is compact"),
        ("alerts", "cleanup.policy", "delete", "failed", "must be compact"),
        (POSTS, "min.insync.replicas", "2", "failed", "nothing can be written"),
        (POSTS, "segment.ms", "604800000", "warning", "segment.ms is 604800000"),
    ],
)
def test_a_topic_that_would_hurt_is_named(
    *,
    capsys: pytest.CaptureFixture[str],
    settings: Settings,
    admin: KafkaAdminClient,
    store: Any,
    topic: str,
    name: str,
    value: str,
    level: str,
    said: str,
) -> None:
    with altered(admin, topic, name, value):
        found, ended = lines(capsys, settings, "topics")
        assert is_said(found, level, f"{topic}: ", said), found
        assert ended == ("not in order: topics" if level == "failed" else "")


def test_replicas_and_partitions_against_the_settings(
    capsys: pytest.CaptureFixture[str], settings: Settings, store: Any
) -> None:
    other = settings.model_copy(update={"replication": 3, "partitions": 6})
    found, ended = lines(capsys, other, "topics")
    assert is_said(found, "warning", "WEATHERVANE_REPLICATION is 3")
    assert is_said(found, "warning", "2 partitions, and WEATHERVANE_PARTITIONS is 6")
    assert ended == ""


def test_a_missing_topic_is_named(
    capsys: pytest.CaptureFixture[str],
    settings: Settings,
    admin: KafkaAdminClient,
    store: Any,
) -> None:
    admin.delete_topics(["posts.raw.weibo.dlq"])
    until(lambda: "posts.raw.weibo.dlq" not in admin.list_topics(), "it is gone")
    found, ended = lines(capsys, settings, "topics")
    assert is_said(found, "failed", "posts.raw.weibo.dlq", "weathervane topics create")
    assert ended == "not in order: topics"


def test_the_clock_of_the_broker(
    capsys: pytest.CaptureFixture[str], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(KafkaProducer(bootstrap_servers=settings.kafka)) as producer:
        producer.send(SENTIMENT, b"x").get(20)
    found, ended = lines(capsys, settings, "clock")
    assert is_said(found, "ok", "Kafka's") and is_said(found, "ok", "Redis's")
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() - 300)
    found, ended = lines(capsys, settings, "clock")
    assert is_said(found, "failed", "Redis's clock is 300", "ahead of ours")
    assert is_said(found, "failed", "Kafka's clock is", "ahead of ours")
    assert ended == "not in order: clock"


@pytest.mark.parametrize(
    ("seconds", "level"), [(0.5, "ok"), (-3, "warning"), (3, "warning"), (-90, "failed")]
)
def test_what_a_difference_of_clocks_means(seconds: float, level: str) -> None:
    assert [finding.level for finding in skew("Its", seconds)] == [level]


@pytest.mark.parametrize(("free", "level"), [(0.5, "failed"), (3, "warning"), (50, None)])
def test_what_little_room_means(free: float, level: str | None) -> None:
    found = list(room("/data", int(free * 2**30), 2**40))
    assert [finding.level for finding in found] == ([level] if level else [])
    assert all(isinstance(finding, Finding) and "/data has" in finding.text for finding in found)


@contextmanager
def configured(store: Any, **options: str) -> Iterator[None]:
    names = {name: name.replace("_", "-") for name in options}
    before = {name: store.config_get(name)[name] for name in names.values()}
    for name, value in options.items():
        store.config_set(names[name], value)
    try:
        yield
    finally:
        for name, value in before.items():
            store.config_set(name, value)


@pytest.mark.parametrize(
    ("options", "level", "said"),
    [
        ({"maxmemory_policy": "allkeys-lru"}, "failed", "must be noeviction"),
        ({"maxmemory_policy": "volatile-lru"}, "failed", "must be noeviction"),
        ({"appendonly": "no"}, "failed", "neither AOF nor RDB"),
        ({"maxmemory": "1mb"}, "failed", "of 1 MiB (maxmemory) are used"),
    ],
)
def test_a_store_that_would_hurt_says_why(
    *,
    capsys: pytest.CaptureFixture[str],
    settings: Settings,
    store: Any,
    options: dict[str, str],
    level: str,
    said: str,
) -> None:
    with configured(store, **options):
        found, ended = lines(capsys, settings, "redis")
    assert is_said(found, level, said), found
    assert ended == "not in order: redis"


def test_rdb_alone_is_persistence(
    capsys: pytest.CaptureFixture[str], settings: Settings, store: Any
) -> None:
    with configured(store, appendonly="no", save="3600 1"):
        found, ended = lines(capsys, settings, "redis")
    assert [level for level, _ in found] == ["ok"], (found, ended)


def test_a_replica_takes_no_writes(
    capsys: pytest.CaptureFixture[str], settings: Settings, store: Any
) -> None:
    store.replicaof("127.0.0.1", "1")
    try:
        found, _ = lines(capsys, settings, "redis")
    finally:
        store.replicaof("NO", "ONE")
    assert is_said(found, "failed", "replica", "name its primary")


class _Web(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_error(404)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""


@pytest.fixture(scope="module")
def web() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Web)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_port
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def silent() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0), backlog=50) as listening:
        yield listening.getsockname()[1]


@pytest.mark.parametrize(
    ("which", "kafka_said", "redis_said"),
    [
        ("nobody", "nothing listens at", "nothing listens at"),
        ("silent", "does not answer within", "does not answer within"),
        ("web", "is a web server, not Kafka", "is a web server, not Redis"),
        ("other", "is Redis, not Kafka", "ends the connection: it is not Redis"),
        ("unnamed", "cannot be resolved", "cannot be resolved"),
    ],
)
def test_what_stands_at_an_address_is_told_in_time(
    *,
    capsys: pytest.CaptureFixture[str],
    own: Endpoints,
    web: int,
    silent: int,
    which: str,
    kafka_said: str,
    redis_said: str,
) -> None:
    places = {
        "nobody": [f"127.0.0.1:{free_port()}"] * 2,
        "silent": [f"127.0.0.1:{silent}"] * 2,
        "web": [f"127.0.0.1:{web}"] * 2,
        "other": [own.redis.split("/")[2], own.kafka],
        "unnamed": ["no-such-host.invalid:9092", "no-such-host.invalid:6379"],
    }[which]
    wrong = Settings(kafka=places[0], redis=f"redis://{places[1]}/0")
    for name, said in (("kafka", kafka_said), ("redis", redis_said)):
        began = time.monotonic()
        found, ended = lines(capsys, wrong, name)
        assert time.monotonic() - began < SECONDS
        assert ended == f"not in order: {name}"
        assert is_said(found, "failed", said, places[name == "redis"].split(":")[0]), found


def test_one_bootstrap_server_that_answers_is_enough(
    capsys: pytest.CaptureFixture[str], own: Endpoints, settings: Settings
) -> None:
    gone = f"127.0.0.1:{free_port()}"
    two = settings.model_copy(update={"kafka": f"{gone},{own.kafka}"})
    found, ended = lines(capsys, two, "kafka")
    assert is_said(found, "warning", f"nothing listens at {gone}")
    assert ended == ""


def test_unknown_tracks_are_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for name, text in {
        "tracks": '[[track]]\nname = "brand"\nany = ["x"]\n',
        "rules": '[[rule]]\nname = "r"\ntracks = ["brnd"]\n[[rule]]\nname = "s"\ntracks = ["b*"]',
        "notify": '[[channel]]\nkind = "webhook"\nname = "hook"\nurl = "http://h"\n'
        'tracks = ["br?nd", "Brand"]\n',
    }.items():
        (tmp_path / f"{name}.toml").write_text(text)
    settings = Settings(
        tracks=tmp_path / "tracks.toml",
        rules=tmp_path / "rules.toml",
        notify=tmp_path / "notify.toml",
    )
    found, ended = lines(capsys, settings, "rules", "notify")
    assert is_said(found, "failed", "rule 'r'", "no track 'brnd'", "all, brand")
    assert is_said(found, "failed", "channel 'hook'", "no track 'Brand'")
    assert len(found) == 2
    assert ended == "not in order: rules, notify"


def test_a_channel_that_is_wrong_is_said(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "c.toml").write_text('[[channel]]\nkind = "webhook"\nname = "h"\nurl = "ftp://h"')
    found, ended = lines(capsys, Settings(notify=tmp_path / "c.toml"), "notify")
    assert is_said(found, "failed", "channel 'h'", "no http(s) address")
    assert ended == "not in order: notify"


def test_an_unknown_check_lists_those_there_are() -> None:
    with pytest.raises(WeathervaneError, match="no check 'kafak'; there are kafka, topics, redis"):
        run_checks(Settings(), ["kafak"])


def test_the_model_is_not_loaded_unless_asked(tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "from pipeline.settings import Settings\n"
        "from workers.check import run_checks\n"
        "run_checks(Settings(), ['tracks', 'author'])\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, timeout=60)


def test_a_change_of_partitions_is_remembered(store: Any) -> None:
    assert note_partitions(store, 2, 1000) is None
    assert note_partitions(store, 2, 2000) is None
    assert known_partitions(store) == (2, None)
    change = PartitionChange(2, 4, 3000)
    assert note_partitions(store, 4, 3000) == change
    assert note_partitions(store, 4, 4000) is None
    assert known_partitions(store) == (4, change)


@contextmanager
def aggregate(settings: Settings, log: Path) -> Iterator[str]:
    """The worker as a process; the address of its endpoints."""
    port = free_port()
    environment = {
        **os.environ,
        "WEATHERVANE_KAFKA": settings.kafka,
        "WEATHERVANE_REDIS": settings.redis,
    }
    command = [sys.executable, "-m", "workers", "run", "aggregate", "--port", str(port)]
    with log.open("w") as out:
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=out)
    try:
        address = f"http://127.0.0.1:{port}"
        until(lambda: _ready(address)[0], "aggregate is ready", 60)
        yield address
    finally:
        process.terminate()
        process.wait(30)


def _ready(address: str) -> tuple[bool, str]:
    try:
        answer = httpx.get(f"{address}/readyz", timeout=5)
    except httpx.TransportError:
        return False, ""
    return answer.status_code == 200, answer.json()["why"]


def test_aggregate_is_not_ready_while_the_store_may_drop_keys(
    settings: Settings, store: Any, tmp_path: Path
) -> None:
    with aggregate(settings, tmp_path / "log") as address:
        with configured(store, maxmemory_policy="volatile-lru", maxmemory="4gb"):
            until(lambda: "noeviction" in _ready(address)[1], "it says so")
            assert not _ready(address)[0]
        until(lambda: _ready(address)[0], "it is ready again")


def test_partitions_that_are_added_are_said_until_repeats_are_forgotten(
    capsys: pytest.CaptureFixture[str],
    settings: Settings,
    admin: KafkaAdminClient,
    store: Any,
    tmp_path: Path,
) -> None:
    """The last test of this module: partitions cannot be taken away."""
    with aggregate(settings, tmp_path / "before"):
        until(lambda: known_partitions(store) == (2, None), "the number is remembered")
    admin.create_partitions({POSTS: 4})
    until(lambda: _partitions(admin, POSTS) == 4, "there are more")
    found, ended = lines(capsys, settings, "topics")
    assert is_said(found, "failed", "as many partitions as each other", "posts 4, sentiment 2")
    admin.create_partitions(dict.fromkeys((SENTIMENT, "shed", "deletions"), 4))
    until(lambda: _partitions(admin, SENTIMENT) == 4, "there are more")
    said = ("has 4 partitions and had 2", "counted twice", "docs/operate.md")
    found, ended = lines(capsys, settings, "topics")
    assert is_said(found, "failed", *said), "before aggregate has seen it"
    with aggregate(settings, tmp_path / "after"):
        until(lambda: (known_partitions(store)[0]) == 4, "it is noted")
    assert "had 2 partitions and has 4" in (tmp_path / "after").read_text()
    found, ended = lines(capsys, settings, "topics")
    assert is_said(found, "failed", *said)
    assert ended == "not in order: topics"
    store.hincrby("wv:partition-count", "since_ms", -49 * 3_600_000)
    found, ended = lines(capsys, settings, "topics")
    assert not is_said(found, "failed", "counted twice")
    assert ended == ""


def _partitions(admin: KafkaAdminClient, topic: str) -> int:
    return len(admin.describe_topics([topic])[0]["partitions"])
