"""`replay`: rules tried on the past."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from pipeline.errors import Unreadable
from pipeline.times import parse_time
from workers.commands.context import settings_here


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command()(replay)


def _time(text: str | datetime) -> datetime:
    try:
        return parse_time(text, "the time")
    except Unreadable as error:
        raise typer.BadParameter(str(error)) from error


def replay(
    start: Annotated[
        datetime, typer.Option("--from", parser=_time, help="RFC 3339; alerts from then on.")
    ],
    end: Annotated[
        datetime | None, typer.Option("--to", parser=_time, help="RFC 3339; now unless given.")
    ] = None,
    rules: Annotated[
        Path | None, typer.Option(help="TOML file of rules; those of the settings unless given.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Say which alerts some rules would have raised, beside those that were; nothing is written.

    Example: weathervane replay --from 2026-01-31T00:00:00Z --rules rules.toml
    """
    from workers.replay import replay as run

    run(settings_here(needs=("kafka",)), start, end or datetime.now(UTC), rules, as_json)
