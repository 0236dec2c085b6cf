"""Which workers make up the system on one machine, and how they are started."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping

from kafka import KafkaAdminClient
from kafka.errors import KafkaError, KafkaTimeoutError
from redis import RedisError

from pipeline.addresses import without_password
from pipeline.errors import ServerUnavailable, WeathervaneError
from pipeline.settings import PREFIX, Settings, variables
from pipeline.store import asked
from pipeline.topics import create_topics
from workers.check import check_files
from workers.commands.context import salt_file
from workers.local.cluster import Cluster
from workers.local.specs import Endpoints, WorkerSpec

READY_SECONDS = 120.0
"""Longest wait for the workers: on a slow machine the model takes most of it."""
_ANSWER_MS = 5000
READ_BY = {
    "release": ("infer",),
    "device": ("infer",),
    "device_timeout_seconds": ("infer",),
    "device_memory_mib": ("infer",),
    "overload": ("infer",),
    "overload_start_seconds": ("infer",),
    "overload_full_seconds": ("infer",),
    "author_salt": ("infer",),
    "author_salt_file": ("infer",),
    "tracks": ("ingest",),
    "lateness_seconds": ("aggregate",),
    "dedupe_hours": ("aggregate",),
    "rules": ("monitor",),
    "monitor_lateness_seconds": ("monitor",),
    "monitor_idle_seconds": ("monitor",),
    "notify": ("notify",),
    "notify_secrets": ("notify",),
    "page_host": ("api", "notify"),
    "page_names": ("api",),
    "page_port": ("api", "notify"),
    "mastodon_token": (),
    "mastodon_token_file": (),
    "partitions": (),
    "replication": (),
    "retention_hours": (),
    "dead_letter_retention_hours": (),
}
"""The roles that read a setting: only they are started anew when it changes. What is not named here
is read by all. The topics are made before workers start, and by none of them."""


def start(
    local: Cluster,
    settings: Settings,
    infer_workers: int = 1,
    *,
    attached: bool = False,
    wait: float = READY_SECONDS,
) -> bool:
    """Start what does not run yet; whether anything did. Returns once all is ready.

    `attached` ends everything with the process that called; `wait` is the longest one, in seconds.

    Call `check_wish` before. Raises what `Cluster.up` does.
    """
    salt = salt_file(local.home)
    kept = local.ports()

    def workers(endpoints: Endpoints) -> list[WorkerSpec]:
        names = ["ingest", *_numbered("infer", infer_workers), "aggregate", "monitor"]
        # Without channels there is nobody to tell.
        names += ["notify"] if settings.notify is not None else []
        ports = _ports(names, endpoints.metrics_ports, kept) | {"api": endpoints.page_port}
        return [
            WorkerSpec(name, _command(name, port), port, _read(settings, _role(name)))
            for name, port in ports.items()
        ]

    def environment(endpoints: Endpoints) -> dict[str, str]:
        here = {
            f"{PREFIX}KAFKA": endpoints.kafka,
            f"{PREFIX}REDIS": endpoints.redis,
            f"{PREFIX}PAGE_PORT": str(endpoints.page_port),
            f"{PREFIX}AUTHOR_SALT_FILE": str(settings.author_salt_file or salt),
            f"{PREFIX}LATENESS_SECONDS": str(settings.lateness_seconds),
            f"{PREFIX}MONITOR_LATENESS_SECONDS": str(settings.monitor_lateness_seconds),
        }
        # Our own Kafka knows neither certificates nor passwords.
        ours = {} if settings.kafka else {f"{PREFIX}KAFKA_SECURITY": "PLAINTEXT"}
        return variables() | here | ours

    def prepare(endpoints: Endpoints) -> None:
        ours = {} if settings.kafka else {"kafka_security": "PLAINTEXT"}
        create_topics(settings.model_copy(update={"kafka": endpoints.kafka} | ours))

    return local.up(workers, prepare, environment, timeout=wait, attached=attached)


def check_wish(settings: Settings) -> None:
    """Whether all that the settings name is there, before anything is started, or stopped, for it.

    Raises:
        ServerUnavailable: a Kafka or a Redis that was named does not answer, or refuses us.
    And what `check_files` raises.
    """
    check_files(settings)
    if settings.kafka:
        limits = {"request_timeout_ms": _ANSWER_MS, "bootstrap_timeout_ms": _ANSWER_MS}
        try:
            KafkaAdminClient(**settings.kafka_options() | limits).close()
        except KafkaTimeoutError as error:
            raise ServerUnavailable(
                f"Kafka does not answer at {settings.kafka} ({PREFIX}KAFKA) within "
                f"{_ANSWER_MS / 1000:g} s"
            ) from error
        except KafkaError as error:
            raise ServerUnavailable(
                f"Kafka does not answer at {settings.kafka} ({PREFIX}KAFKA): {error}"
            ) from error
    if settings.redis:
        shown = without_password(settings.redis)
        try:
            with asked(settings.redis) as client:
                client.ping()
        except RedisError as error:
            raise ServerUnavailable(
                f"Redis does not answer at {shown} ({PREFIX}REDIS): {error}"
            ) from error


def _read(settings: Settings, role: str) -> str:
    """A digest of the settings that a role reads."""
    return settings.digest(without=[name for name, roles in READ_BY.items() if role not in roles])


def _ports(names: Iterable[str], free: Iterable[int], kept: Mapping[str, object]) -> dict[str, int]:
    """A port for each worker: the one that it had, or one that none of them has.

    Raises:
        WeathervaneError: there are more workers than ports.
    """
    ports = list(free)
    same = {name: port for name in names if (port := kept.get(name)) in ports}
    others = iter([port for port in ports if port not in same.values()])
    try:
        return {name: int(str(same[name])) if name in same else next(others) for name in names}
    except StopIteration:
        raise WeathervaneError(f"at most {len(ports)} workers run on one machine") from None


def _numbered(role: str, count: int) -> list[str]:
    return [role] if count == 1 else [f"{role}-{number}" for number in range(1, count + 1)]


def _role(name: str) -> str:
    return name.split("-", maxsplit=1)[0]


def _command(name: str, port: int) -> list[str]:
    run = ["-m", "workers", "run", _role(name), "--name", name, "--port", str(port)]
    return [sys.executable, *run]
