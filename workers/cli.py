"""The command line `weathervane`: exit code 0 done, 1 failed with one sentence, 2 wrong usage."""

from __future__ import annotations

import os
import sys

import typer

from pipeline.errors import WeathervaneError
from workers.commands import local, model, stream, work

app = typer.Typer(
    name="weathervane",
    help="Streaming emotion analysis of social posts: text, picture and sound.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
local.register(app)
stream.register(app)
model.register(app)
work.register(app)


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
        if not _expected(error):
            raise
        fail(f"{type(error).__name__}: {error}")


def fail(sentence: str) -> None:
    """Say why and exit with 1."""
    print(f"weathervane: {sentence}", file=sys.stderr)
    sys.exit(1)


def _expected(error: Exception) -> bool:
    """Failures of the servers and of a model: their own text is the sentence."""
    from kafka.errors import KafkaError
    from redis import RedisError

    from models.errors import ModelError

    return isinstance(error, KafkaError | RedisError | ModelError | OSError)
