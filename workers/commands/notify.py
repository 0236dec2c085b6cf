"""`notify`: the channels that hear of alerts."""

from __future__ import annotations

from typing import Annotated

import typer

from workers.commands.context import settings_here

notify_app = typer.Typer(help="The channels that hear of alerts.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.add_typer(notify_app, name="notify")


@notify_app.callback()
def _group() -> None:
    """A group with one command keeps its name."""


@notify_app.command("test")
def test(
    channel: Annotated[str | None, typer.Option(help="Only this channel.")] = None,
) -> None:
    """Send a sample alert, marked as a test, and say what became of it for each channel.

    Example: WEATHERVANE_NOTIFY=channels.toml weathervane notify test --channel ops
    """
    from workers.notify.samples import send_samples

    send_samples(settings_here(needs=()), channel)
