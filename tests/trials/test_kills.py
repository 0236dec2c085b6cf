"""Trial 1: every worker killed three times while posts flow; the oracle reads topics and Redis."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.waiting import until
from tests.workers.stack import Stack

pytestmark = [pytest.mark.trial, pytest.mark.timeout(1200)]

POSTS = 12_000
BOUNCES = 3
REPEATED = 500
SEED = 20_260_301


@pytest.fixture
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    stack = Stack(tmp_path_factory.mktemp("trial"))
    stack.weathervane("up")
    yield stack
    stack.weathervane("down")


def post(number: int) -> dict[str, Any]:
    words = random.Random(number).choice(["what a day", "this is awful", "好开心", "气死我了"])
    now = datetime.now(UTC).isoformat()
    return {"id": f"weathervane:{number}", "created_at": now, "text": f"{words} {number}"}


def test_trial_1_kills(stack: Stack) -> None:
    """Posts go in by portions; in each, one worker dies. Nothing is lost, nothing twice."""
    victims = ["ingest", "infer", "aggregate"] * BOUNCES
    random.Random(SEED).shuffle(victims)
    reader = stack.reader("sentiment")
    portion = POSTS // len(victims)
    killed = []
    for round_number, victim in enumerate(victims):
        first = round_number * portion
        stack.produce("posts.raw.weathervane", [post(n) for n in range(first, first + portion)])
        reader.until(max(1, first + portion // 5), 120)
        pid = stack.kill(victim)
        killed.append(pid)
        stack.wait_running(victim, not_pid=pid, seconds=60)
    assert len(set(killed)) == len(victims)
    produced = portion * len(victims)
    stack.produce("posts.raw.weathervane", [post(n) for n in range(REPEATED)])
    messages = reader.until(produced + REPEATED, 300)
    reader.close()

    ids = Counter(json.loads(m.value())["id"] for m in messages)
    once = {f"weathervane:{n}": 1 + (n < REPEATED) for n in range(produced)}
    assert ids == Counter(once)
    events = {e["id"]: e for e in (json.loads(m.value()) for m in messages)}
    until(lambda: stack.totals()["all"]["posts"] >= produced, "all posts are folded", 120)
    totals = stack.totals()["all"]
    assert totals["posts"] == produced
    assert +Counter(totals["emotions"]) == Counter(e["dominant"] for e in events.values())
