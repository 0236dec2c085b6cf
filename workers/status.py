"""What runs on this machine, for people and for scripts."""

from __future__ import annotations

import msgspec
from rich.console import Console
from rich.table import Table

from workers.local.cluster import Cluster


def print_status(local: Cluster, as_json: bool) -> None:
    """Print the state of servers and workers to stdout."""
    status = local.status()
    if as_json:
        print(msgspec.json.encode(status).decode())
        return
    table = Table("name", "state", "pid", "port")
    for name, worker in status["workers"].items():
        table.add_row(name, worker["state"], _shown(worker["pid"]), _shown(worker.get("port")))
    console = Console()
    console.print(table)
    for name, worker in status["workers"].items():
        if "loop" in worker:
            console.print(f"{name} {worker['loop']}", highlight=False, markup=False)
    for name in ("page", "kafka", "redis"):
        console.print(f"{name:<6} {status[name]}", highlight=False)


def _shown(value: int | None) -> str:
    return "-" if value is None else str(value)
