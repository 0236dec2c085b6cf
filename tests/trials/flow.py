"""What goes on in a thread while a trial does something else."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager

from tests.trials.harness import Trial

_STEP_SECONDS = 0.5


@contextmanager
def repeating(step: Callable[[], None], seconds: float) -> Iterator[None]:
    """Call `step` every `seconds` for the block, from a thread; what it raises is raised here."""
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(seconds):
            step()

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(run)
        try:
            yield
        finally:
            stop.set()
    done.result()


def flowing(trial: Trial, rate: float) -> AbstractContextManager[None]:
    """Send `rate` posts a second for the block; nobody else may send meanwhile.

    A broker that does not answer makes them wait, and what is missing is made up for afterwards.
    """
    started, sent = time.monotonic(), 0

    def send() -> None:
        nonlocal sent
        due = int((time.monotonic() - started) * rate) - sent
        trial.send_posts(due)
        sent += due

    return repeating(send, _STEP_SECONDS)
