"""The command line: every command explains itself, and failures are one plain sentence."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
import typer
from typer.core import TyperGroup
from typer.testing import CliRunner

from workers.cli import app

NOWHERE = {"WEATHERVANE_KAFKA": "127.0.0.1:1", "WEATHERVANE_REDIS": "redis://127.0.0.1:1/0"}


def leaves(command: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The commands that do something, by their words."""
    if not isinstance(command, TyperGroup):
        yield path
        return
    for name, child in command.commands.items():
        yield from leaves(child, (*path, name))


COMMANDS = sorted(leaves(typer.main.get_command(app)))


def run(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "workers", *arguments],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_commands_of_the_contract_are_there() -> None:
    words = {" ".join(path) for path in COMMANDS}
    assert {"demo", "up", "down", "status", "run", "topics create", "send", "tail"} <= words
    assert {"totals", "score", "train", "evaluate", "predict", "check", "dlq list"} <= words


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_has_a_line_that_one_can_type(path: tuple[str, ...]) -> None:
    command = typer.main.get_command(app)
    for word in path:
        assert isinstance(command, TyperGroup)
        command = command.commands[word]
    assert "Example: " in (command.help or "")
    assert f"weathervane {' '.join(path)}" in (command.help or "")


@pytest.mark.parametrize("path", [(), *COMMANDS], ids=" ".join)
def test_the_short_option_helps_everywhere(path: tuple[str, ...]) -> None:
    short, whole = (CliRunner().invoke(app, [*path, option]) for option in ("-h", "--help"))
    assert short.exit_code == 0
    assert short.output == whole.output
    assert "Usage: " in short.output


def test_the_version(tmp_path: Path) -> None:
    done = run("--version", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, f"weathervane {version('weathervane')}\n")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("nonsense",), 2, "No such command"),
        (("score",), 2, "give at least one of"),
        (("run", "postman"), 2, "is not one of"),
        (("score", "--explain"), 2, "give at least one of"),
        (("score", "--image", "nope.jpg"), 1, "cannot read nope.jpg"),
        (("evaluate", "--data", "nope"), 1, "nope has no split dev"),
        (("send", "nope.jsonl", "--platform", "weathervane"), 1, "there is no file nope.jsonl"),
        (("send", "nope.jsonl", "--platform", "myspace"), 1, "--platform myspace: known are"),
        (("send", "in.csv", "--platform", "x", "--rate", "nan"), 2, "--rate: must be a finite"),
        (("send", "in.csv", "--platform", "x", "--rate", "inf"), 2, "--rate: must be a finite"),
        (("send", "in.csv", "--platform", "x"), 1, "in.csv holds no JSON records: line 1 is"),
        (("send", ".", "--platform", "weathervane"), 1, ". is a folder: give its files"),
        (("predict", "nope.parquet", "--out", "o.parquet"), 1, "there is no file nope.parquet"),
        (("predict", ".", "--out", "o.parquet"), 1, ". is a folder; give a file of rows"),
        (("predict", "in.csv", "--out", "."), 1, ". is a folder; name the file to write"),
        (("predict", "in.csv", "--out", "in.csv"), 1, "in.csv is the file that is read"),
        (("predict", "in.csv", "--out", "no/o.parquet"), 1, "there is no folder"),
        (("predict", "in.csv", "--out", "o.parquet"), 1, "in.csv has no column id; it has n, text"),
        (("detect", "in.csv", "--out", "o.csv"), 1, "in.csv line 1: expected the header"),
        (("detect", "in.csv", "--out", "."), 1, ". is a folder; name the file to write"),
        (("totals",), 1, "Redis: "),
    ],
)
def test_failures(tmp_path: Path, arguments: tuple[str, ...], code: int, said: str) -> None:
    (tmp_path / "in.csv").write_text("n,text\n1,so happy\n")
    done = run(*arguments, cwd=tmp_path, **NOWHERE)
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"WEATHERVANE_PARTITIONS": "many"}, "WEATHERVANE_PARTITIONS: "),
        ({"WEATHERVANE_CONFIG": "nope.toml"}, "there is no file nope.toml"),
        ({"WEATHERVANE_TRACKS": "nope.toml"}, "cannot read nope.toml"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, environment: dict[str, str], said: str) -> None:
    done = run("run", "ingest", cwd=tmp_path, **(NOWHERE | environment))
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_settings_come_from_a_file_and_the_environment_wins(tmp_path: Path) -> None:
    config = tmp_path / "weathervane.toml"
    config.write_text('redis = "redis://127.0.0.1:2/0"\n')
    environment = {"WEATHERVANE_KAFKA": "127.0.0.1:1", "WEATHERVANE_CONFIG": str(config)}
    assert "127.0.0.1:2" in run("totals", cwd=tmp_path, **environment).stderr
    environment["WEATHERVANE_REDIS"] = "redis://127.0.0.1:3/0"
    assert "127.0.0.1:3" in run("totals", cwd=tmp_path, **environment).stderr


def test_status_of_nothing(tmp_path: Path) -> None:
    done = run("status", "--json", cwd=tmp_path)
    assert done.returncode == 0
    assert '"kafka"' in done.stdout
    assert run("down", cwd=tmp_path).stdout == "nothing was running\n"
