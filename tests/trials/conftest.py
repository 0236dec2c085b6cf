"""What every trial has: a system of its own, a number of posts, and a row in docs/trials.md."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.trials.harness import Trial
from tests.trials.report import Row, write
from tests.workers.stack import Stack

_rows = pytest.StashKey[list[Row]]()
POSTS = 1500
START_SECONDS = 600
"""Longest wait for servers and workers: a trial is not about a busy machine."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--posts N`, `--soak-minutes N`, `--overload-seconds N`."""
    parser.addoption("--posts", type=int, default=POSTS, help="posts a trial sends, at least")
    parser.addoption("--soak-minutes", type=float, default=4, help="length of trial 25")
    parser.addoption("--overload-seconds", type=float, default=60, help="length of trial 13")


def pytest_configure(config: pytest.Config) -> None:
    """The marker that sets a trial's environment."""
    config.addinivalue_line(
        "markers", "environment(**values): WEATHERVANE_* of the trial's system, or what makes one"
    )
    config.stash[_rows] = []


@pytest.fixture
def trial(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Trial]:
    """A running system; the first line of the test's docstring names the fault."""
    marker = request.node.get_closest_marker("environment")
    for name, value in (marker.kwargs if marker else {}).items():
        made = value(tmp_path_factory.mktemp(name.lower())) if callable(value) else value
        monkeypatch.setenv(f"WEATHERVANE_{name}", str(made))
    number = re.match(r"test_trial_(\d+[ab]?)_", request.node.name)
    assert number is not None
    fault = str(request.function.__doc__).partition("\n")[0].rstrip(".")
    row = Row(number[1], fault, date=datetime.now(UTC).date().isoformat())
    request.config.stash[_rows].append(row)
    stack = Stack(tmp_path_factory.mktemp("trial"))
    try:
        stack.weathervane("up", "--wait", str(START_SECONDS), timeout=3 * START_SECONDS)
        with Trial(stack, request.config.getoption("posts", POSTS), row) as trial:
            yield trial
    finally:
        stack.weathervane("down")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, Any, Any]:
    """Put the outcome of the test into its row."""
    report = yield
    trial = getattr(item, "funcargs", {}).get("trial")
    if call.when == "call" and isinstance(trial, Trial):
        known = " (known)" if hasattr(report, "wasxfail") else ""
        trial.row.verdict = "holds" if report.passed else f"does not hold{known}"
    return report


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print the rows of this run, and write them down."""
    if rows := config.stash[_rows]:
        write(rows)
        terminalreporter.section("trials")
        for row in rows:
            terminalreporter.write_line(str(row))
