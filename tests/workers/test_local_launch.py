"""The launcher: locks that cannot lie, lives tied to the parent's."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.waiting import until
from workers.local import launch

SLEEPER = [sys.executable, "-c", "import time; time.sleep(300)"]
FORKER = [sys.executable, "-c", "import os, time; os.fork(); time.sleep(300)"]
"""A program whose child inherits the lock and outlives it."""


def start(folder: Path, argv: list[str], with_signal: str = "-") -> subprocess.Popen[bytes]:
    (folder / "it.json").write_text(json.dumps(argv))
    launcher = [sys.executable, "-I", "-S", launch.__file__, str(folder), "it", with_signal]
    return subprocess.Popen(launcher, start_new_session=True)


def test_the_program_has_the_launchers_pid_and_holds_the_lock(tmp_path: Path) -> None:
    process = start(tmp_path, SLEEPER)
    lock = tmp_path / "it.lock"
    until(lambda: launch.is_held(lock), "the lock is held")
    assert int(lock.read_text()) == process.pid
    process.kill()
    process.wait()
    assert not launch.is_held(lock)


def test_a_lock_without_a_file_is_free(tmp_path: Path) -> None:
    assert not launch.is_held(tmp_path / "it.lock")


def test_ending_a_free_lock_ends_nobody(tmp_path: Path) -> None:
    lock = tmp_path / "it.lock"
    bystander = subprocess.Popen(SLEEPER, start_new_session=True)
    try:
        lock.write_text(str(bystander.pid))
        launch.end(lock)
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_what_the_last_one_left_behind_is_ended(tmp_path: Path) -> None:
    lock = tmp_path / "it.lock"
    first = start(tmp_path, FORKER)
    until(lambda: launch.is_held(lock) and len(group(first.pid)) == 2, "the program has forked")
    first.kill()
    first.wait()
    assert launch.is_held(lock)

    second = start(tmp_path, SLEEPER)
    try:
        until(lambda: lock.read_text() == str(second.pid), "the second holds the lock")
        assert not group(first.pid)
    finally:
        second.kill()
        second.wait()


def test_the_program_dies_with_its_parent(tmp_path: Path) -> None:
    lock = tmp_path / "it.lock"
    (tmp_path / "it.json").write_text(json.dumps(SLEEPER))
    launcher = [sys.executable, "-I", "-S", launch.__file__, str(tmp_path), "it", "SIGKILL"]
    program = f"import subprocess; subprocess.Popen({launcher!r}, start_new_session=True).wait()"
    parent = subprocess.Popen([sys.executable, "-c", program])
    until(lambda: lock.exists() and lock.read_text() != "", "the program runs")
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    until(lambda: not launch.is_held(lock), "the program is dead")


def group(leader: int) -> list[int]:
    """Living processes of one process group."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if os.getpgid(int(entry.name)) == leader and "\nState:\tZ" not in status(entry):
                    found.append(int(entry.name))
            except (ProcessLookupError, FileNotFoundError):
                continue
    return found


def status(entry: Path) -> str:
    return (entry / "status").read_text()
