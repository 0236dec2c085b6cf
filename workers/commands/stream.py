"""`send`, `tail` and `totals`: posts in, events and counts out."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from workers.commands.context import settings_here


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(send)
    app.command()(tail)
    app.command()(totals)


def send(
    files: Annotated[list[Path], typer.Argument(help="JSON: a record a line, or an array.")],
    platform: Annotated[str, typer.Option(help="weathervane, bluesky, mastodon, x or weibo.")],
    rate: Annotated[
        float | None, typer.Option(help="Records a second; else as fast as it goes.")
    ] = None,
) -> None:
    """Send records to posts.raw.PLATFORM: JSON, a record a line or an array, plain or under gzip.

    Example: weathervane send posts.jsonl --platform weathervane --rate 50
    """
    from workers.send import send_files

    if rate is not None and not 0 < rate < math.inf:
        raise typer.BadParameter("--rate: must be a finite number of records a second, more than 0")
    send_files(settings_here(needs=("kafka",)), files, platform, rate)


def tail(
    topic: Annotated[str, typer.Argument(help="sentiment, posts, alerts, posts.raw.bluesky.dlq …")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Stop after so many records.")] = None,
    track: Annotated[str | None, typer.Option(help="Only records of this track.")] = None,
) -> None:
    """Print the newest records of a topic, then follow it; with --limit, stop after so many.

    Example: weathervane tail sentiment --json --limit 5
    """
    from workers.tail import follow

    follow(settings_here(needs=("kafka",)), topic, as_json, limit, track)


def totals(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    track: Annotated[list[str] | None, typer.Option(help="Only this track; repeatable.")] = None,
) -> None:
    """Print what was counted so far, by track.

    Example: weathervane totals --track all
    """
    from workers.totals import print_totals

    print_totals(settings_here(needs=("redis",)), as_json, track or [])
