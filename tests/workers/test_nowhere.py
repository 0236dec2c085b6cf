"""Commands where nothing runs, and folders in which nothing can: one sentence, at once."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import workers
from pipeline.errors import WeathervaneError
from pipeline.settings import load_settings
from workers.cli import app
from workers.local import folder as folders
from workers.local.change import Change
from workers.logs import Log
from workers.remembered import Remembered, differences, load, remember
from workers.stack import READ_BY, _ports

POSTS = "posts.jsonl"


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, and a shell without settings."""
    for name in os.environ:
        if name.startswith("WEATHERVANE_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    (tmp_path / POSTS).write_text('{"id": "weathervane:1"}\n')
    return tmp_path


@pytest.mark.parametrize(
    "words",
    [
        ("send", POSTS, "--platform", "weathervane"),
        ("totals",),
        ("tail", "posts"),
        ("dlq", "list"),
        ("dlq", "show", "posts.dlq"),
        ("dlq", "redrive"),
        ("erase", "post", "weathervane:1"),
        ("erase", "author", "weathervane:1"),
        ("replay", "--from", "2026-01-31T00:00:00Z"),
        ("topics", "create"),
        ("source", "jetstream"),
        ("source", "mastodon", "https://mastodon.example"),
        ("check",),
        *(("run", role) for role in ("ingest", "infer", "aggregate", "monitor", "notify", "api")),
        ("restart", "infer"),
    ],
    ids=" ".join,
)
def test_nothing_is_spoken_to_that_was_not_named(nowhere: Path, words: tuple[str, ...]) -> None:
    with pytest.raises(WeathervaneError) as caught:
        app(words, standalone_mode=False)
    assert "nothing runs here" in str(caught.value)
    assert "weathervane up" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (nowhere / ".weathervane").exists()


def test_one_of_two_servers_is_not_enough(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEATHERVANE_KAFKA", "127.0.0.1:1")
    with pytest.raises(WeathervaneError, match="WEATHERVANE_REDIS is not set: set both"):
        app(("totals",), standalone_mode=False)


def weathervane(folder: str | Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "workers", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def sentence(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    said = done.stderr.strip()
    assert said.startswith("weathervane: ")
    assert "\n" not in said
    return said


@pytest.mark.parametrize(
    "words", [("up",), ("demo",), ("totals",), ("status",), ("down",), ("down", "--wipe")]
)
def test_a_file_of_that_name_is_said(nowhere: Path, words: tuple[str, ...]) -> None:
    (nowhere / ".weathervane").touch()
    said = sentence(weathervane(nowhere, *words))
    assert ".weathervane is a file, and has to be a folder: move it away" in said


@pytest.mark.parametrize("words", [("up",), ("demo",)])
def test_a_folder_in_which_nobody_may_write_is_said(words: tuple[str, ...]) -> None:
    said = sentence(weathervane("/sys", *words))
    assert "/sys" in said
    assert "call weathervane in a" in said


def test_a_full_disk_is_said_before_anything_starts(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "ROOM_BYTES", 10**18)
    with pytest.raises(WeathervaneError, match=r"is full: \d+ MB are free"):
        folders.check_room(nowhere)


@pytest.mark.parametrize("role", ["ingest", "infer", "api"])
def test_a_port_that_is_taken_is_named(role: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        named = {
            "WEATHERVANE_KAFKA": "127.0.0.1:1",
            "WEATHERVANE_REDIS": "redis://127.0.0.1:1",
        }
        done = subprocess.run(
            [sys.executable, "-m", "workers", "run", role, "--port", port],
            env={**os.environ, **named},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert f"port {port} of 127.0.0.1 is taken by another program" in sentence(done)


def test_a_wipe_asks_where_nobody_can_answer(nowhere: Path) -> None:
    assert "there is nothing to wipe" in weathervane(nowhere, "down", "--wipe", "--yes").stdout
    (nowhere / ".weathervane").mkdir()
    (nowhere / ".weathervane" / "state.json").touch()
    assert "elsewhere add --yes" in sentence(weathervane(nowhere, "down", "--wipe"))
    assert (nowhere / ".weathervane" / "state.json").exists()
    assert weathervane(nowhere, "down", "--wipe", "--yes").stdout.startswith("wiped ")
    assert not (nowhere / ".weathervane").exists()


def test_what_changed_is_named_and_no_secret_is(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEATHERVANE_KAFKA_PASSWORD", "s3cret")
    monkeypatch.setenv("WEATHERVANE_REDIS", "redis://:s3cret@host:1")
    monkeypatch.setenv("WEATHERVANE_RULES", "rules.toml")
    remember(nowhere, load_settings(), 1)
    file = nowhere / "settings.json"
    assert "s3cret" not in file.read_text()
    assert file.stat().st_mode & 0o077 == 0
    kept = load(nowhere)
    assert isinstance(kept, Remembered)
    assert not differences(kept, load_settings(), 1)
    monkeypatch.setenv("WEATHERVANE_KAFKA_PASSWORD", "0ther")
    monkeypatch.setenv("WEATHERVANE_REDIS", "redis://:0ther@host:1")
    monkeypatch.setenv("WEATHERVANE_RULES", "others.toml")
    assert differences(kept, load_settings(), 2) == [
        "WEATHERVANE_REDIS: another secret",
        "WEATHERVANE_KAFKA_PASSWORD: another secret",
        "WEATHERVANE_RULES: others.toml, was rules.toml",
        "infer workers: 2, was 1",
    ]


def test_a_change_names_who_goes_and_who_comes() -> None:
    change = Change.between({"a": "1", "b": "1", "c": "1"}, {"a": "1", "b": "2", "d": "1"})
    assert str(change) == "Restarting b; starting d; ending c; all else runs on."
    assert set(change.ended) == {"b", "c"}
    assert set(change.started) == {"b", "d"}
    assert not Change.between({"a": "1"}, {"a": "1"})


def test_a_worker_keeps_its_port_when_others_come_and_go() -> None:
    first = _ports(["ingest", "infer", "aggregate"], range(1, 9), {})
    assert first == {"ingest": 1, "infer": 2, "aggregate": 3}
    again = _ports(["ingest", "infer-1", "infer-2", "aggregate"], range(1, 9), first)
    assert again == {"ingest": 1, "infer-1": 2, "infer-2": 4, "aggregate": 3}
    with pytest.raises(WeathervaneError, match="at most 2 workers"):
        _ports(["a", "b", "c"], range(1, 3), {})


def test_each_setting_is_read_by_no_other_role_than_it_says() -> None:
    folder = Path(workers.__file__).parent
    roles = {"ingest", "infer", "aggregate", "monitor", "notify", "api"}
    for role in roles:
        module, package = folder / f"{role}.py", folder / role
        files = [module] if module.exists() else sorted(package.glob("*.py"))
        text = "".join(file.read_text() for file in files)
        for setting, readers in READ_BY.items():
            used = f"settings.{setting}\n" in text or any(
                f"settings.{setting}{end}" in text for end in (" ", ")", ",", ".", "]", ":")
            )
            assert not used or role in readers, f"{role} reads {setting}: add it to READ_BY"


def test_a_log_is_followed_over_its_rotation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "infer.log"
    log = Log(path, "infer | ")
    log.print_last(2)
    log.print_new()
    path.write_text("one\ntwo\nthree\n")
    log.print_new()
    with path.open("a") as file:
        file.write("fo")
        file.flush()
        log.print_new()
        file.write("ur\n")
    log.print_new()
    path.rename(tmp_path / "infer.log.1")
    with (tmp_path / "infer.log.1").open("a") as file:
        file.write("last\n")
    path.write_text("five\n")
    log.print_new()
    said = capsys.readouterr().out.splitlines()
    assert said == [f"infer | {word}" for word in ("one", "two", "three", "four", "last", "five")]
    again = Log(path, "")
    again.print_last(0)
    assert capsys.readouterr().out == ""
