"""The models that there are, and exports of them for other programs."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pipeline.settings import load_settings


class Target(StrEnum):
    """What `export` can write."""

    transformers = "transformers"
    onnx = "onnx"


class Part(StrEnum):
    """A modality."""

    text = "text"
    image = "image"
    audio = "audio"


models = typer.Typer(
    name="models",
    help="The releases that come with the program.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(export)
    app.add_typer(models)


def export(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to write.")],
    to: Annotated[Target, typer.Option(help="A folder for Auto classes, or one graph.")],
    only: Annotated[
        list[Part] | None, typer.Option(help="Towers of the graph; all of them unless given.")
    ] = None,
) -> None:
    """Write the model that WEATHERVANE_RELEASE names, or the shipped one, for other programs.

    Example: weathervane export --to onnx exported --only text
    """
    from workers.releases import export_release

    export_release(load_settings(), out, to.value, [part.value for part in only or ()])


@models.command("list")
def list_models(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """List the releases that ship: what they read, what they may be used for, their size.

    Example: weathervane models list
    """
    from workers.releases import print_shipped

    print_shipped(as_json)


@models.command()
def show(
    name: Annotated[str, typer.Argument(help="A shipped name, a folder, or a hub name.")],
) -> None:
    """Print the card of a release: data and licences, scores, calibration, limits.

    Example: weathervane models show fused-open
    """
    from workers.releases import print_card

    print_card(name)
