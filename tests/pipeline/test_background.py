"""A background loop goes on whatever a round of it raises."""

from __future__ import annotations

import asyncio
import logging

import pytest

from pipeline.background import Rounds


def test_the_loop_goes_on_and_the_log_says_why_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    rounds, came = Rounds("reading"), []
    for wrong in (KeyError("a"), KeyError("b"), None, KeyError("c"), ValueError("d")):
        with rounds.round():
            if wrong is not None:
                raise wrong
            came.append(1)
        assert rounds.error is wrong
    assert came == [1]
    assert [r.message for r in caplog.records] == [
        "reading failed, once more in a moment",
        "reading works again",
        "reading failed, once more in a moment",
        "reading failed, once more in a moment",
    ]
    assert caplog.records[0].exc_info


def test_what_is_expected_is_a_line(caplog: pytest.LogCaptureFixture) -> None:
    with Rounds("reading", OSError).round():
        raise ConnectionError("no server")
    assert caplog.messages == ["reading failed, once more in a moment: no server"]
    assert caplog.records[0].exc_info is None


def test_a_cancelled_task_ends() -> None:
    async def work() -> None:
        with Rounds("waiting").round():
            await asyncio.sleep(60)

    async def cancelled() -> None:
        task = asyncio.create_task(work())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit])
def test_what_ends_the_process_passes_through(end: type[BaseException]) -> None:
    with pytest.raises(end), Rounds("reading").round():
        raise end
