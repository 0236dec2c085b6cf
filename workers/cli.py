"""The command line `weathervane`: exit code 0 done, 1 failed with one sentence, 2 wrong usage."""

from __future__ import annotations

import os
import sys
from importlib.metadata import version
from typing import Annotated

import typer

from pipeline.errors import WeathervaneError
from workers.commands import (
    dead_letters,
    erase,
    local,
    model,
    notify,
    releases,
    replay,
    source,
    stream,
    work,
)

app = typer.Typer(
    name="weathervane",
    help="Streaming emotion analysis of social posts: text, picture and sound.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"weathervane {version('weathervane')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Say the version, and end."
        ),
    ] = False,
) -> None:
    """Streaming emotion analysis of social posts: text, picture and sound."""


local.register(app)
stream.register(app)
source.register(app)
model.register(app)
releases.register(app)
work.register(app)
dead_letters.register(app)
erase.register(app)
notify.register(app)
replay.register(app)


def main() -> None:
    """Run the command line; an expected failure is one sentence on stderr."""
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # The reader of our output went away (`weathervane tail … | head`): not a failure.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except WeathervaneError as error:
        fail(str(error))
    except Exception as error:
        source = _source(error)
        if source is None:
            raise
        fail(f"{source}{error}")


def fail(sentence: str) -> None:
    """Say why and exit with 1."""
    print(f"weathervane: {sentence}", file=sys.stderr)
    sys.exit(1)


def _source(error: Exception) -> str | None:
    """Whose failure it was, where its own text is the sentence; None for one of our own."""
    from kafka.errors import KafkaError
    from redis import RedisError

    from models.errors import ModelError

    named = {KafkaError: "Kafka: ", RedisError: "Redis: ", ModelError: "", OSError: ""}
    return next((name for kind, name in named.items() if isinstance(error, kind)), None)
