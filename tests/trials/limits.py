"""Real limits for processes and folders: control groups, and disks of a few mebibytes.

They need root and Linux; where the machine does not permit one, the trial is skipped with a reason.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.waiting import until

_CGROUPS = Path("/sys/fs/cgroup")


class Cage:
    """A control group (version 1) of some processes, in one hierarchy."""

    def __init__(self, controller: str, name: str) -> None:
        self.folder = _CGROUPS / controller / name

    def write(self, name: str, value: int) -> None:
        (self.folder / name).write_text(str(value))

    def read(self, name: str) -> int:
        return int((self.folder / name).read_text())


@contextmanager
def caged(controller: str, pids: Iterable[int]) -> Iterator[Cage]:
    """Put the processes into a group of their own for the block, and back where they were."""
    cage = Cage(controller, f"weathervane-{os.getpid()}")
    pids = list(pids)
    if not (_CGROUPS / controller / "cgroup.procs").exists():
        pytest.skip(f"there is no control group hierarchy (version 1) {_CGROUPS / controller}")
    before = {pid: _group_of(pid, controller) for pid in pids}
    try:
        cage.folder.mkdir()
    except OSError as error:
        pytest.skip(f"control groups cannot be made: {error}")
    try:
        for pid in pids:
            cage.write("cgroup.procs", pid)
        yield cage
    finally:
        for pid, path in before.items():
            with suppress(ProcessLookupError):
                (_CGROUPS / controller / path / "cgroup.procs").write_text(str(pid))
        for child in (cage.folder / "cgroup.procs").read_text().split():
            # A child that was started meanwhile.
            (_CGROUPS / controller / "cgroup.procs").write_text(child)
        cage.folder.rmdir()


def _group_of(pid: int, controller: str) -> str:
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        if controller in names.split(","):
            return path.lstrip("/")
    return ""


@contextmanager
def small_disk(folder: Path, mebibytes: int) -> Iterator[None]:
    """Put the folder onto a disk of its own for the block. Nobody may use it while it moves."""
    aside = folder.with_name(f"{folder.name}-aside")
    folder.rename(aside)
    folder.mkdir()
    size = f"size={mebibytes}m"
    made = _run("mount", "-t", "tmpfs", "-o", size, "weathervane-trial", str(folder))
    if made.returncode != 0:
        folder.rmdir()
        aside.rename(folder)
        pytest.skip(f"disks cannot be mounted: {made.stderr.strip()}")
    back = folder.with_name(f"{folder.name}-back")
    try:
        _copy(aside, folder)
        yield
    finally:
        back.mkdir()
        _copy(folder, back)
        _run("umount", "-l", str(folder))
        folder.rmdir()
        back.rename(folder)
        shutil.rmtree(aside)


def fill(folder: Path) -> Path:
    """Write until the disk of the folder takes no byte more; the file to remove."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            with suppress_full():
                while True:
                    file.write(b"x" * size)
    until(lambda: os.statvfs(folder).f_bavail == 0, "the disk is full")
    return ballast


@contextmanager
def suppress_full() -> Iterator[None]:
    """Go on where the disk is full."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise


def _copy(source: Path, target: Path) -> None:
    # Kafka's index files are 10 MB long and nearly empty.
    done = _run("cp", "-a", "--sparse=always", f"{source}/.", str(target))
    assert done.returncode == 0, done.stderr


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)
