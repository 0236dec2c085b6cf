"""Which servers a command talks to: those given, else those that run here, else the usual ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipeline.settings import Settings, load_settings
from workers.local.cluster import Cluster

HOME = Path(".weathervane")


def cluster(settings: Settings) -> Cluster:
    """The local cluster of the working directory, using the servers that were given."""
    given = settings.model_fields_set
    return Cluster(
        HOME,
        kafka=settings.kafka if "kafka" in given else None,
        redis=settings.redis if "redis" in given else None,
        page_port=settings.page_port,
    )


def settings_here(**overrides: Any) -> Settings:
    """Settings, completed by the addresses of the local cluster where one runs."""
    settings = load_settings(**overrides)
    given = settings.model_fields_set
    if {"kafka", "redis"} <= given:
        return settings
    local = cluster(settings)
    if not local.is_running():
        return settings
    endpoints = local.endpoints()
    found = {"kafka": endpoints.kafka, "redis": endpoints.redis, "page_port": endpoints.page_port}
    missing = {name: value for name, value in found.items() if name not in given}
    return load_settings(**(missing | overrides))
