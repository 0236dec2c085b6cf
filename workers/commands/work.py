"""`run` and `topics`: what supervisors, containers and operators call."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from workers.commands.context import settings_here


class Role(StrEnum):
    """What `run` can be."""

    ingest = "ingest"
    infer = "infer"
    aggregate = "aggregate"
    monitor = "monitor"
    notify = "notify"
    api = "api"


topics_app = typer.Typer(help="The topics of the system.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(run)
    app.add_typer(topics_app, name="topics")


def run(
    role: Annotated[Role, typer.Argument(help="Which worker.")],
    name: Annotated[
        str | None, typer.Option(help="Unique in its role, and the same after a restart.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="Port of /metrics, /healthz and /readyz; 0 for a free one.")
    ] = None,
) -> None:
    """Run one worker until SIGTERM.

    Example: weathervane run infer --name infer-1 --port 9102
    """
    # Ingest and infer know no store.
    needs = ("kafka",) if role in (Role.ingest, Role.infer) else ("kafka", "redis")
    settings = settings_here(needs, name=name)
    if role is Role.ingest:
        from workers import ingest

        ingest.run(settings, port or 0)
    elif role is Role.infer:
        from workers import infer

        infer.run(settings, port or 0)
    elif role is Role.aggregate:
        from workers import aggregate

        aggregate.run(settings, port or 0)
    elif role is Role.monitor:
        from workers.monitor.run import run as run_monitor

        run_monitor(settings, port or 0)
    elif role is Role.notify:
        from workers import notify

        notify.run(settings, port or 0)
    else:
        from workers import api

        api.run(settings, settings.page_port if port is None else port, settings.name)


@topics_app.command("create")
def create() -> None:
    """Create the topics that are missing.

    Example: WEATHERVANE_KAFKA=kafka:9092 weathervane topics create
    """
    from pipeline.topics import create_topics

    created = create_topics(settings_here(needs=("kafka",)))
    print(f"created {len(created)} topics" + (": " + ", ".join(created) if created else ""))
