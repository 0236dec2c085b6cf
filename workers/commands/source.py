"""`source`: what platforms publish as it happens."""

from __future__ import annotations

from typing import Annotated

import typer

from workers.commands.context import settings_here

source_app = typer.Typer(
    help="Read what a platform publishes, as it happens, into its raw topic.", no_args_is_help=True
)
Limit = Annotated[int | None, typer.Option(min=1, help="Stop after so many records.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.add_typer(source_app, name="source")


@source_app.command("jetstream")
def jetstream(
    url: Annotated[str | None, typer.Option(help="Of another Jetstream; ws:// or wss://.")] = None,
    now: Annotated[
        bool, typer.Option("--now", help="Begin now, not where posts.raw.bluesky ends.")
    ] = False,
    limit: Limit = None,
) -> None:
    """Read every post of Bluesky into posts.raw.bluesky until Ctrl-C; go on where it ended.

    Example: weathervane source jetstream
    """
    from workers.sources import feed
    from workers.sources.jetstream import ADDRESS, Jetstream, newest

    if url is not None and not url.startswith(("ws://", "wss://")):
        raise typer.BadParameter("--url begins with ws:// or wss://")
    settings = settings_here(needs=("kafka",))
    cursor = newest(settings)
    feed.run(settings, Jetstream(url or ADDRESS, None if now else cursor), limit)


@source_app.command("mastodon")
def mastodon(
    server: Annotated[str, typer.Argument(help="Such as https://mastodon.social.")],
    local: Annotated[
        bool, typer.Option("--local", help="Leave out what comes from other servers.")
    ] = False,
    limit: Limit = None,
) -> None:
    """Read the public timeline of a Mastodon server into posts.raw.mastodon until Ctrl-C.

    Most servers ask for the token of an application: set WEATHERVANE_MASTODON_TOKEN, or
    WEATHERVANE_MASTODON_TOKEN_FILE to the file that holds it.

    Example: weathervane source mastodon https://mastodon.social
    """
    from workers.sources import feed
    from workers.sources.mastodon import Mastodon

    settings = settings_here(needs=("kafka",))
    feed.run(settings, Mastodon(server, settings.secret("mastodon_token"), local), limit)
