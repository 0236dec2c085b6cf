"""`up`, `down`, `status` and `demo`: the whole system on this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline.settings import load_settings
from workers.commands.context import cluster


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(demo)
    app.command()(up)
    app.command()(down)
    app.command()(status)


def demo(
    once: Annotated[
        bool, typer.Option("--once", help="Score the posts of one day, say the counts, and end.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The counts as one JSON object.")] = False,
) -> None:
    """Run the whole system on real posts, with a page to open, until Ctrl-C.

    Example: weathervane demo --once --json
    """
    from workers.demo import run_demo

    run_demo(load_settings(), once, as_json)


def up(
    infer: Annotated[int, typer.Option(min=1, help="Number of infer workers.")] = 1,
    wait: Annotated[
        float, typer.Option(min=1, help="Longest wait for the workers, in seconds.")
    ] = 120,
) -> None:
    """Start Kafka, Redis and all workers from .weathervane/ and return once they are ready.

    Example: weathervane up && weathervane status
    """
    from workers.stack import start

    settings = load_settings()
    local = cluster(settings)
    started = start(local, settings, infer_workers=infer, wait=wait)
    print("ready" if started else "already running", f"- the page is at {local.endpoints().page}")


def down() -> None:
    """Stop what `up` started. The data stay in .weathervane/.

    Example: weathervane down
    """
    stopped = cluster(load_settings()).down()
    print("stopped" if stopped else "nothing was running")


def status(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Say which servers and workers run, and where.

    Example: weathervane status --json
    """
    from workers.status import print_status

    print_status(cluster(load_settings()), as_json)
