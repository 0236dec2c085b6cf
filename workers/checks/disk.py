"""Room on disks, ours and the brokers'."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from pipeline.settings import Settings
from workers.checks.finding import Finding, failed, ok, unless_found, warning
from workers.commands.context import HOME

_GIBIBYTE = 1 << 30
FULL_BYTES = _GIBIBYTE
LOW_BYTES = 5 * _GIBIBYTE


def room(where: str, free: int, total: int) -> Iterator[Finding]:
    """What too little room means; bytes."""
    text = f"{where} has {free / _GIBIBYTE:.1f} of {total / _GIBIBYTE:.0f} GiB left"
    if free < FULL_BYTES:
        yield failed(f"{text}: the servers end, or take no writes, when it is full")
    elif free < LOW_BYTES:
        yield warning(text)


def check_disk(settings: Settings) -> list[Finding]:
    """The folder of the servers that run here."""
    folder = HOME if HOME.is_dir() else Path()
    usage = shutil.disk_usage(folder)
    where = folder.resolve()
    if not HOME.is_dir():
        return [ok(f"nothing is stored in {where}")]
    free = f"{where} has {usage.free / _GIBIBYTE:.0f} GiB left"
    return unless_found(room(str(where), usage.free, usage.total), free)
