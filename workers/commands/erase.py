"""`erase`: a post, or all posts of an author, with what repeats their words."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.topics import PLATFORMS
from workers.commands.context import settings_here

if TYPE_CHECKING:
    from workers.erase import Erased

_NAME = re.compile(r"([A-Za-z0-9_-]{1,32}):(?=\S)(.+)")
_NATIVE = ("did:", "at:")
"""How ids of Bluesky begin, which have a colon in them and no platform."""
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what there is.")]

erase_app = typer.Typer(
    help="Erase a post or an author from store, dead letters and alerts.", no_args_is_help=True
)


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.add_typer(erase_app, name="erase")


@erase_app.command("post")
def post(
    post_id: Annotated[str, typer.Argument(metavar="ID", help="Such as weathervane:42.")],
    dry_run: DryRun = False,
) -> None:
    """Erase one post and what repeats it: no page or alert shows them from then on. What was
    counted stays. Ends with 1 where nothing was found.

    Example: weathervane erase post weathervane:42
    """
    from workers.erase import erase_post

    name = _given(post_id, "post weathervane:42")
    erased = erase_post(settings_here(), name, dry_run=dry_run)
    later = "" if dry_run else "; it is marked as deleted and will not be shown if it comes"
    _say(erased, name, later)


@erase_app.command("author")
def author(
    author_id: Annotated[
        str, typer.Argument(metavar="ID", help="platform:ID, the ID as the platform names them.")
    ],
    dry_run: DryRun = False,
) -> None:
    """Erase every post of an author that is kept, and what repeats their words. What was counted
    stays. Ends with 1 where nothing was found.

    Example: weathervane erase author x:71
    """
    from workers.erase import erase_author

    name = _given(author_id, "author x:71")
    _say(erase_author(settings_here(), name, dry_run=dry_run), name, "")


def _given(name: str, example: str) -> str:
    """The id, whose platform must be said: a bare number is another's on each."""
    stripped = name.strip()
    if not stripped:
        raise typer.BadParameter(f"the ID is empty; give platform:ID, as in: erase {example}")
    if stripped.startswith(_NATIVE):
        raise typer.BadParameter(f"{stripped} names no platform; write bluesky:{stripped}")
    match = _NAME.fullmatch(stripped)
    if match is None or match[1].lower() in ("http", "https"):
        raise typer.BadParameter(
            f"{stripped[:80]} names no platform; give platform:ID, as in: erase {example}"
        )
    platform = match[1].lower()
    return f"{platform}:{match[2]}" if platform in PLATFORMS else stripped


def _say(erased: Erased, name: str, later: str) -> None:
    looked = "posts" if erased.since is None else f"posts since {erased.since:%Y-%m-%d %H:%M} UTC"
    if erased.nothing:
        print(
            f"nothing of {name} was found in {looked}, in dead letters or in alerts{later}",
            file=sys.stderr,
        )
        raise typer.Exit(1)
    print(
        f"{'would erase' if erased.dry_run else 'erased'}: {erased.posts} posts, "
        f"{erased.letters} dead letters, out of the evidence of {erased.alerts} alerts"
    )
    if erased.copies:
        print(f"of the posts {erased.copies} repeat the words of what is erased")
    print(
        f"looked at: {looked}, dead letters, alerts; of older posts the store has an id and "
        "scores, without author or text, for 8 days at most"
    )
    if erased.dry_run:
        return
    if erased.stored:
        print("checked: the store has none of these posts")
    else:
        print("the store forgets them once aggregate has caught up; call this again to check")
    print(f"the topics forget them by {erased.gone_at:%Y-%m-%d %H:%M} UTC")
