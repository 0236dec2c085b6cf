"""What a worker writes to its log."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from workers.process import log_to_stderr


@pytest.fixture
def restored() -> Iterator[None]:
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield
    root.handlers[:], root.level = before, level
    logging.getLogger("kafka").setLevel(logging.NOTSET)


@pytest.mark.usefixtures("restored")
def test_errors_of_the_client_are_a_line_and_our_own_are_traced(
    capsys: pytest.CaptureFixture[str],
) -> None:
    log_to_stderr()
    for name in ("kafka.net.transport", "workers.infer"):
        try:
            raise ConnectionResetError("gone by 100%")
        except ConnectionResetError:
            logging.getLogger(name).exception("lost %s", "it")
    first, second, *trace = capsys.readouterr().err.splitlines()
    assert first.endswith("kafka.net.transport: lost it: ConnectionResetError('gone by 100%')")
    assert second.endswith("workers.infer: lost it")
    assert trace[0].startswith("Traceback")
