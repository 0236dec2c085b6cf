"""The demo as a newcomer runs it: one day of posts, the counts, and the end of all of it."""

from __future__ import annotations

import json
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
    done = stack.weathervane("demo", "--once", "--json", timeout=450, RELEASE=release)
    found = json.loads(done.stdout)
    assert found["produced"] == found["scored"] + found["dead_lettered"] + found["duplicates"]
    assert found["aggregated"] == found["scored"] > 3000
    assert found["dead_lettered"] > 0
    assert found["duplicates"] > 0
    assert found["alerts"] >= 1
    assert "Traceback" not in done.stderr
    assert not Supervisor(tmp_path / ".weathervane").is_running()
