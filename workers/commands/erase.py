"""`erase`: a post, or all posts of an author."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from workers.commands.context import settings_here

if TYPE_CHECKING:
    from workers.erase import Erased

erase_app = typer.Typer(
    help="Erase a post or an author from store, dead letters and alerts.", no_args_is_help=True
)


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.add_typer(erase_app, name="erase")


@erase_app.command("post")
def post(
    post_id: Annotated[str, typer.Argument(metavar="ID", help="Such as weathervane:42.")],
) -> None:
    """Erase one post: no page or alert shows it from then on. What was counted stays.

    Example: weathervane erase post weathervane:42
    """
    from workers.erase import erase_post

    _say(erase_post(settings_here(), _given(post_id)))


@erase_app.command("author")
def author(
    author_id: Annotated[
        str, typer.Argument(metavar="ID", help="As the platform names them, or platform:ID.")
    ],
) -> None:
    """Erase every post of an author that is kept. What was counted stays.

    Example: weathervane erase author weathervane:7
    """
    from workers.erase import erase_author

    _say(erase_author(settings_here(), _given(author_id)))


def _given(name: str) -> str:
    if not name.strip():
        raise typer.BadParameter("the ID is empty")
    return name


def _say(erased: Erased) -> None:
    print(
        f"erased: {erased.posts} posts, {erased.letters} dead letters, "
        f"out of the evidence of {erased.alerts} alerts"
    )
    if not erased.stored:
        print("the store forgets them once aggregate has caught up")
    print(f"the topics forget them by {erased.gone_at:%Y-%m-%d %H:%M} UTC; nothing shows them")
