"""The demo as a newcomer runs it: one day of posts, the counts, and the end of all of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.models.tiny import make_release
from tests.workers.stack import Stack
from workers.local.supervision import Supervisor

pytestmark = [pytest.mark.servers, pytest.mark.timeout(480)]


@pytest.mark.parametrize(
    "shipped",
    [
        # A model of a few thousand weights: what it says means nothing, every count is the same.
        pytest.param(False, id="tiny"),
        pytest.param(True, id="shipped", marks=pytest.mark.trial),
    ],
)
def test_the_demo_counts_every_post_once_and_raises_its_alert(
    tmp_path: Path, shipped: bool
) -> None:
    release = "fused-joint" if shipped else str(make_release(tmp_path / "tiny"))
    stack = Stack(tmp_path)
    # Servers that are named are not touched: with these nothing would go.
    done = stack.weathervane(
        "demo",
        "--once",
        "--json",
        timeout=450,
        RELEASE=release,
        KAFKA="127.0.0.1:1",
        REDIS="redis://127.0.0.1:1/0",
    )
    found = json.loads(done.stdout)
    assert found["produced"] == found["scored"] + found["dead_lettered"] + found["duplicates"]
    assert found["aggregated"] == found["scored"] > 3000
    assert found["dead_lettered"] > 0
    assert found["duplicates"] > 0
    assert found["alerts"] >= 1
    assert "Traceback" not in done.stderr
    assert not (tmp_path / ".weathervane" / "kafka").exists(), "it is not where up has its data"
    assert not Supervisor(tmp_path / ".weathervane" / "demo").is_running()


def test_ctrl_c_of_the_demo_says_what_it_does_and_leaves_no_process(tmp_path: Path) -> None:
    release = str(make_release(tmp_path / "tiny"))
    stack = Stack(tmp_path)
    demo = subprocess.Popen(
        [sys.executable, "-m", "workers", "demo"],
        cwd=tmp_path,
        env={**os.environ, "WEATHERVANE_RELEASE": release},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert demo.stderr is not None
    try:
        for line in demo.stderr:
            if "Ctrl-C ends the demo" in line:
                break
        status = stack.status()
        assert {worker["state"] for worker in status["workers"].values()} == {"running"}
        second = stack.weathervane("demo", timeout=60)
        assert "a demo runs in this folder already: its page is at http" in second.stderr
        third = stack.weathervane("demo", "--once", check=False, timeout=60)
        assert third.returncode == 1
        assert "a demo runs in this folder already" in third.stderr
        pids = [worker["pid"] for worker in status["workers"].values()]
        assert [stack.status()["workers"][name]["pid"] for name in status["workers"]] == pids
        demo.send_signal(signal.SIGINT)
        said = demo.communicate(timeout=120)[1]
    finally:
        demo.kill()
    assert "ending the demo: workers finish what they have in hand" in said
    assert "the demo has ended, and no process is left" in said
    assert "Traceback" not in said
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
