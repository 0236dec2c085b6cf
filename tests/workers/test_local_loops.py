"""A worker that ends time and again at the same record."""

from __future__ import annotations

from pathlib import Path

import pytest

from workers.local.loops import loop

START = "2026-03-01 12:00:00,000 INFO workers.process: ingest one: metrics and health on port 9101"
STOP = "2026-03-01 12:00:09,000 INFO workers.process: ingest one: stopped"
RAISED = "Traceback (most recent call last):\nkafka.errors.CorruptRecordError: [Error 2] no"


def reading(offset: int, number: int = 3) -> str:
    place = f"posts.raw.x-{number}"
    return f"2026-03-01 12:00:01,000 INFO pipeline.delivery: {place}: reading from {offset}"


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([START, reading(7), RAISED] * 3, "posts.raw.x-3, offset 7, and ended there: kafka.errors"),
        ([START, reading(5, 1), reading(7)] * 4, "it was killed"),
        ([START, reading(7), RAISED] * 2, None),
        ([START, reading(7), STOP] * 3, None),
        ([START, reading(7), START, reading(8), START, reading(9)], None),
        ([START, RAISED] * 5, None),
        ([], None),
    ],
)
def test_a_loop_is_three_starts_at_one_record(
    lines: list[str], said: str | None, tmp_path: Path
) -> None:
    log = tmp_path / "ingest.log"
    log.write_text("\n".join(lines))
    found = loop(log)
    assert (found is None) if said is None else (found is not None and said in found)


def test_a_worker_without_a_log_is_in_no_loop(tmp_path: Path) -> None:
    assert loop(tmp_path / "none.log") is None
