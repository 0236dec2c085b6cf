"""Which workers make up the system on one machine, and how they are started."""

from __future__ import annotations

import sys

from pipeline.settings import PREFIX, Settings
from pipeline.topics import create_topics
from workers.check import check_files
from workers.commands.context import salt_file
from workers.local.cluster import Cluster
from workers.local.specs import Endpoints, WorkerSpec

READY_SECONDS = 120.0
"""Longest wait for the workers: on a slow machine the model takes most of it."""


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

    Raises what `check_files` raises, while all that runs goes on, and what `Cluster.up` does.
    """
    check_files(settings)
    salt = salt_file(local.home)

    def workers(endpoints: Endpoints) -> list[WorkerSpec]:
        names = ["ingest", *_numbered("infer", infer_workers), "aggregate", "monitor"]
        # Without channels there is nobody to tell.
        names += ["notify"] if settings.notify is not None else []
        ports = dict(zip(names, endpoints.metrics_ports, strict=False)) | {
            "api": endpoints.page_port
        }
        return [WorkerSpec(name, _command(name, port), port) for name, port in ports.items()]

    def environment(endpoints: Endpoints) -> dict[str, str]:
        return {
            f"{PREFIX}KAFKA": endpoints.kafka,
            f"{PREFIX}REDIS": endpoints.redis,
            f"{PREFIX}PAGE_PORT": str(endpoints.page_port),
            f"{PREFIX}AUTHOR_SALT_FILE": str(settings.author_salt_file or salt),
            f"{PREFIX}LATENESS_SECONDS": str(settings.lateness_seconds),
            f"{PREFIX}MONITOR_LATENESS_SECONDS": str(settings.monitor_lateness_seconds),
        }

    def prepare(endpoints: Endpoints) -> None:
        create_topics(settings.model_copy(update={"kafka": endpoints.kafka}))

    return local.up(
        workers,
        prepare,
        environment,
        timeout=wait,
        attached=attached,
        settings=settings.digest(),
    )


def _numbered(role: str, count: int) -> list[str]:
    return [role] if count == 1 else [f"{role}-{number}" for number in range(1, count + 1)]


def _command(name: str, port: int) -> list[str]:
    role = name.split("-", maxsplit=1)[0]
    return [sys.executable, "-m", "workers", "run", role, "--name", name, "--port", str(port)]
