"""Which servers a command talks to: those given, else those that run here, else the usual ones."""

from __future__ import annotations

import secrets
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


def salt_file(home: Path) -> Path:
    """The author salt of this installation, made on first use and readable by its owner only."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = home / "author_salt"
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_hex(32), encoding="utf-8")
    return path


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
    found: dict[str, Any] = {
        "kafka": endpoints.kafka,
        "redis": endpoints.redis,
        "page_port": endpoints.page_port,
        "author_salt_file": salt_file(HOME),
    }
    missing = {name: value for name, value in found.items() if name not in given}
    return load_settings(**(missing | overrides))
