"""`make setup` with a Python that will not do, and what that leaves. The Python is a script."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

MAKEFILE = Path(__file__).parent.parent / "Makefile"
OLD = """#!/bin/sh
case "$1" in
  -c) echo "make setup: Python 3.11 or newer is needed" >&2; exit 1;;
  *) mkdir -p .venv/bin; exit 1;;
esac
"""
WITHOUT_VENV = """#!/bin/sh
case "$1" in
  -c) exit 0;;
  *) mkdir -p .venv/bin; ln -s "$0" .venv/bin/python; exit 1;;
esac
"""
GOOD = """#!/bin/sh
echo "$@" >> called
case "$*" in
  "-m pip --version") test -e .venv/whole;;
  "-m venv"*) mkdir -p .venv/bin; touch .venv/whole; ln -s "$0" .venv/bin/python;
          ln -s "$0" .venv/bin/uv;;
esac
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copy(MAKEFILE, tmp_path / "Makefile")
    for name in ("requirements-dev.txt", "pyproject.toml"):
        (tmp_path / name).touch()
    return tmp_path


def setup(folder: Path, python: str) -> subprocess.CompletedProcess[str]:
    script = folder / "python"
    script.write_text(python)
    script.chmod(0o755)
    return subprocess.run(
        ["make", "setup", f"PYTHON={script}"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("python", "said"),
    [
        (OLD, "make setup: Python 3.11 or newer is needed"),
        (WITHOUT_VENV, "cannot make a virtual environment"),
    ],
)
def test_a_python_that_will_not_do_is_named_and_leaves_nothing(
    folder: Path, python: str, said: str
) -> None:
    done = setup(folder, python)
    assert done.returncode != 0
    assert said in done.stderr
    assert not (folder / ".venv").exists()
    assert setup(folder, GOOD).returncode == 0


def test_no_python_at_all_is_said(folder: Path) -> None:
    done = subprocess.run(
        ["make", "setup", "PYTHON=python-of-nobody"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "make setup: there is no python-of-nobody; install Python 3.11" in done.stderr


def test_a_half_made_environment_is_made_anew_and_a_whole_one_is_kept(folder: Path) -> None:
    (folder / ".venv" / "bin").mkdir(parents=True)
    (folder / ".venv" / "bin" / "python").symlink_to("/nowhere/python3.9")
    (folder / ".venv" / "left").touch()
    done = setup(folder, GOOD)
    assert done.returncode == 0, done.stderr
    assert not (folder / ".venv" / "left").exists()
    (folder / "pyproject.toml").write_text("changed")
    (folder / "called").unlink()
    (folder / ".venv" / ".stamp").unlink()
    assert setup(folder, GOOD).returncode == 0
    assert "-m venv" not in (folder / "called").read_text()
