"""A training run in a process of its own, which says every step and may be killed at any."""

from multiprocessing.connection import Connection
from pathlib import Path

from models.training import loop, train


def run(world: Path, out: str, said: Connection) -> None:
    """Train the text-only recipe of `world`, saving after every step."""
    loop.SAVE_EVERY = 0.0

    def report(stage: str, step: int, steps: int, loss: float) -> None:
        said.send((stage, step))

    train(world / "text.toml", world / "data", world / out, True, report=report)
    said.send(("done", 0))
