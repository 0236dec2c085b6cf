"""`dlq`: the dead letters."""

from __future__ import annotations

from typing import Annotated

import typer

from workers.commands.context import settings_here

dlq_app = typer.Typer(
    help="The dead letters: records that could not be used.", no_args_is_help=True
)


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.add_typer(dlq_app, name="dlq")


@dlq_app.command("list")
def list_kinds(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Count the dead letters by topic and reason.

    Example: weathervane dlq list
    """
    import msgspec

    from workers.dlq import kinds

    found = kinds(settings_here(needs=("kafka",)))
    for kind in found:
        if as_json:
            print(msgspec.json.encode(kind).decode())
        else:
            print(f"{kind.letters:>7}  {kind.topic}  {kind.reason}")
    if not found and not as_json:
        print("there are no dead letters")


@dlq_app.command("show")
def show(
    topic: Annotated[str, typer.Argument(help="Such as posts.raw.weathervane.dlq.")],
    limit: Annotated[int, typer.Option(min=1, help="So many of the newest.")] = 10,
) -> None:
    """Print dead letters whole, one JSON object a line: reason, key, headers and value.

    Example: weathervane dlq show posts.raw.bluesky.dlq --limit 3
    """
    from workers.tail import newest

    newest(settings_here(needs=("kafka",)), topic, limit)


@dlq_app.command("redrive")
def redrive(
    topic: Annotated[str | None, typer.Option(help="Only those of this topic.")] = None,
    reason: Annotated[
        str | None,
        typer.Option(help="Only those whose reason, as list prints it, holds this text."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how many.")] = False,
) -> None:
    """Send dead letters back to the topics that they came from, each once.

    Example: weathervane dlq redrive --reason "media[" --dry-run
    """
    from workers.dlq import redrive as run_redrive

    done = run_redrive(settings_here(needs=("kafka",)), topic, reason, dry_run)
    print(f"{'would send' if dry_run else 'sent'} {done.sent} back, {done.kept} stay")
