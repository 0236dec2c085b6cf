"""The device process: it holds the model and knows no Kafka.

The feeder sends it batches of prepared items over a pipe and gets one answer an item. It is a
process of its own so that a hang or a crash in the model costs no group membership and can be
ended: a device that answers nothing in time is killed and replaced, and the batch is sent again.
"""

from __future__ import annotations

import logging
import multiprocessing
import resource
import signal
import sys
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from models.errors import ItemError, ModelError
from models.prepare import Prepared
from pipeline.errors import WeathervaneError
from workers.local.launch import die_with_parent

LOAD_SECONDS = 600
"""Loading takes seconds; with thirty processes on two cores, 120 s were seen not to be enough."""
PART_COST = 8192
"""Work in one message to the process, in tokens of text: 5 s on a slow core without bfloat16."""
_STOP_SECONDS = 5
log = logging.getLogger(__name__)


class DeviceLost(WeathervaneError):
    """The device process ended, or answered nothing in time."""


class Device:
    """The parent's side of the device process. Not thread-safe."""

    def __init__(
        self,
        release: Path,
        device: str,
        timeout_seconds: float,
        on_state: Callable[[bool], None] = lambda ready: None,
        memory_mib: int | None = None,
    ) -> None:
        """`on_state` is told whether there is a process that answers, with each of its answers.

        `memory_mib` bounds what the process may take beyond the loaded model, on a processor.
        """
        self._arguments = (release, device, memory_mib)
        self._timeout = timeout_seconds
        self._on_state = on_state
        self._process: Any = None
        self._pipe: Connection | None = None
        self.model = ""
        """name@hash of what the process has loaded."""

    def __enter__(self) -> Device:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """The process id, for whoever watches it."""
        return self._process.pid if self._process is not None else None

    def start(self) -> None:
        """Start the process and wait until the model is loaded.

        Raises:
            WeathervaneError: the model refuses to load; the text says why.
        """
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(theirs, *self._arguments), name="device", daemon=True
        )
        self._process.start()
        theirs.close()
        try:
            answer = self._receive(LOAD_SECONDS)
        except DeviceLost:
            # It ignores SIGTERM, with which multiprocessing would wait for it at exit.
            self.close()
            raise
        if isinstance(answer, str):
            self.model = answer
            self._on_state(True)
            return
        self.close()
        raise WeathervaneError(f"the model cannot be loaded: {answer.reason}")

    def close(self) -> None:
        """End the process: by closing its pipe, then by force."""
        if self._pipe is not None:
            self._pipe.close()
        if self._process is not None:
            self._process.join(_STOP_SECONDS)
            if self._process.is_alive():
                self._process.kill()
                self._process.join()
        self._pipe, self._process = None, None

    def predict(self, batch: Sequence[Prepared]) -> list[Any]:
        """One `Prediction` or `ItemError` an item, in order.

        The batch goes over in parts of bounded cost, so that the time-out is one for a part: a
        batch full of sound is slow, and a device at work is no device that hangs.

        Raises:
            WeathervaneError: the process cannot be started again.
        """
        answers: list[Any] = []
        part: list[Prepared] = []
        cost = 0
        for item in batch:
            if part and cost + item.cost > PART_COST:
                answers += self._predict_part(part)
                part, cost = [], 0
            part.append(item)
            cost += item.cost
        answers += self._predict_part(part)
        self._ask_again(batch, answers)
        return answers

    def _ask_again(self, batch: Sequence[Prepared], answers: list[Any]) -> None:
        """Ask for the items that had no room alone, the cheapest first, in a new process.

        What a process did before can leave no room for a small item. So an item is too large only
        if it has no room in a process that did nothing before, or if one of its modalities that is
        no dearer has none.
        """
        places = [place for place, answer in enumerate(answers) if _had_no_room(answer)]
        if not places:
            return
        log.error("out of memory; starting a new device process for %d items", len(places))
        self._replace()
        used = False
        too_large: set[tuple[bool, ...]] = set()
        for place in sorted(places, key=lambda place: batch[place].cost):
            item = batch[place]
            modalities = tuple(part is not None for part in (item.tokens, item.pixels, item.mel))
            [answer] = self._predict_part([item])
            if _had_no_room(answer) and used and modalities not in too_large:
                log.error("out of memory; starting a new device process for an item alone")
                self._replace()
                [answer] = self._predict_part([item])
            used = True
            if _had_no_room(answer):
                too_large.add(modalities)
            answers[place] = answer

    def _predict_part(self, batch: Sequence[Prepared], attempts: int = 2) -> list[Any]:
        """Ask for one part.

        One that the process dies of is sent once more whole, since that may have been chance, and
        then in halves, so that only the items that kill it are errors: one among n costs
        3 + log2(n) processes.
        """
        if not batch:
            return []
        for _ in range(attempts):
            try:
                return self._ask(batch)
            except DeviceLost as lost:
                log.error("%s; starting a new one for %d items", lost, len(batch))
                self._replace()
        if len(batch) == 1:
            return [ItemError("the model process ended, twice, on this post")]
        half = len(batch) // 2
        return [
            answer
            for part in (batch[:half], batch[half:])
            for answer in self._predict_part(part, attempts=1 if len(part) > 1 else 2)
        ]

    def _ask(self, batch: Sequence[Prepared]) -> list[Any]:
        if self._pipe is None:
            raise DeviceLost("there is no device process")
        try:
            self._pipe.send(list(batch))
        except OSError as error:
            raise DeviceLost(f"the device process is gone: {error}") from error
        answer = self._receive(self._timeout)
        if not isinstance(answer, list) or len(answer) != len(batch):
            raise DeviceLost("the device process answered something else than was asked")
        self._on_state(True)
        return answer

    def _receive(self, seconds: float) -> Any:
        assert self._pipe is not None  # noqa: S101  (only called between start and close)
        try:
            if not self._pipe.poll(seconds):
                raise DeviceLost(f"the device process answered nothing for {seconds:.0f} s")
            return self._pipe.recv()
        except (EOFError, OSError) as error:
            raise DeviceLost("the device process ended") from error

    def _replace(self) -> None:
        self._on_state(False)
        if self._process is not None and self._process.is_alive():
            self._process.kill()
        self.close()
        self.start()


def _had_no_room(answer: Any) -> bool:
    return isinstance(answer, ItemError) and answer.exhausted


def _serve(pipe: Connection, release: Path, device: str, memory_mib: int | None) -> None:
    """The child: load, say so, then answer batches until the parent closes the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None and parent.pid is not None:
        # A hung forward pass does not see the pipe close.
        die_with_parent(signal.SIGKILL, parent.pid)
    from models.predictor import Predictor

    try:
        predictor = Predictor.load(release, device)
    except ModelError as error:
        pipe.send(ItemError(str(error)))
        return
    if memory_mib is not None and predictor.on_processor:
        _limit_memory(memory_mib)
    pipe.send(predictor.name)
    while True:
        try:
            batch = pipe.recv()
        except (EOFError, OSError):
            return
        pipe.send(predictor.predict(batch))


def _limit_memory(mib: int) -> None:
    """Let this process take so much address space more (setrlimit(2); Linux, else nothing)."""
    if sys.platform != "linux":
        return
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    limit = taken + (mib << 20)
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))
