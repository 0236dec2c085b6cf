"""Two systems in two folders, and a third shell: nothing crosses, and `up` remembers."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.models.tiny import make_release
from tests.waiting import until
from tests.workers.stack import Stack

pytestmark = [pytest.mark.servers, pytest.mark.timeout(480)]
SECRET = "s3cret-salt"  # noqa: S105 (of this test)


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_release(tmp_path_factory.mktemp("release") / "tiny")


@pytest.fixture(scope="module")
def systems(
    tmp_path_factory: pytest.TempPathFactory, release: Path
) -> Iterator[tuple[Stack, Stack]]:
    one, other = (Stack(tmp_path_factory.mktemp(name)) for name in ("one", "other"))
    with ThreadPoolExecutor(2) as pool:
        settings = given({"RELEASE": str(release), "AUTHOR_SALT": SECRET})
        list(pool.map(lambda s: s.weathervane("up", timeout=300, **settings), (one, other)))
    yield one, other
    for stack in (one, other):
        stack.weathervane("down")


@pytest.fixture
def one(systems: tuple[Stack, Stack]) -> Stack:
    return systems[0]


def posts_of(stack: Stack, **settings: str) -> int:
    done = stack.weathervane("totals", "--json", **given(settings))
    return int(json.loads(done.stdout).get("all", {"posts": 0})["posts"])


def file_of(folder: Path, *names: str) -> str:
    now = datetime.now(UTC).isoformat()
    posts = [{"id": f"weathervane:{name}", "created_at": now, "text": name} for name in names]
    path = folder / f"{names[0]}.jsonl"
    path.write_text("".join(json.dumps(post) + "\n" for post in posts))
    return str(path)


def pids(stack: Stack) -> dict[str, Any]:
    return {name: worker["pid"] for name, worker in stack.status()["workers"].items()}


def given(settings: dict[str, str]) -> Any:
    """Keyword arguments of `Stack.weathervane` that are settings."""
    return settings


def addresses(stack: Stack) -> Any:
    status = stack.status()
    return {"KAFKA": status["kafka"], "REDIS": status["redis"]}


def test_nothing_crosses(systems: tuple[Stack, Stack], tmp_path: Path) -> None:
    one, other = systems
    third = Stack(tmp_path)
    ours, theirs = posts_of(one), posts_of(other)
    posts = file_of(tmp_path, "first", "second", "third")
    one.weathervane("send", posts, "--platform", "weathervane")
    until(lambda: posts_of(one) == ours + 3, "they are counted", 60)
    assert posts_of(other) == theirs
    for words in (("totals",), ("send", posts, "--platform", "weathervane"), ("tail", "posts")):
        done = third.weathervane(*words, check=False)
        assert done.returncode == 1
        assert done.stderr.startswith("weathervane: nothing runs here: "), done.stderr
    assert not (tmp_path / ".weathervane").exists()
    # A shell that names one, wherever it is.
    named = addresses(other)
    assert posts_of(third, **named) == theirs
    third.weathervane("send", posts, "--platform", "weathervane", **given(named))
    until(lambda: posts_of(other) == theirs + 3, "the named one counts them", 60)
    assert posts_of(one) == ours + 3
    done = one.weathervane("totals", "--json", **named)
    assert json.loads(done.stdout)["all"]["posts"] == theirs + 3, "named servers come first"
    assert "not to the system of this folder" in done.stderr
    # Kafka of the one and Redis of the other are no system.
    done = one.weathervane("totals", check=False, KAFKA=named["KAFKA"])
    assert done.returncode == 1
    assert "WEATHERVANE_REDIS is not set: set both" in done.stderr


def test_an_up_from_a_shell_without_settings_changes_nothing(one: Stack) -> None:
    before = pids(one)
    done = one.weathervane("up")
    assert done.stdout.startswith("already running")
    assert "WEATHERVANE_AUTHOR_SALT, WEATHERVANE_RELEASE" in done.stderr
    assert pids(one) == before


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ({"RELEASE": "fused-jiont"}, "there is no release fused-jiont"),
        ({"RULES": "nope.toml"}, "cannot read nope.toml"),
        ({"KAFKA": "127.0.0.1:1"}, "Kafka does not answer at 127.0.0.1:1"),
        ({"REDIS": "redis://:wr0ng@127.0.0.1:1"}, "Redis does not answer at redis://:***@"),
        ({"REDIS": "redis://:wr0ng@{}"}, "Redis does not answer at redis://:***@"),
        ({"RULEZ": "rules.toml"}, "did you mean WEATHERVANE_RULES?"),
        ({"DEVICE": "cuda:9"}, "infer keeps ending"),
    ],
)
def test_a_wrong_setting_stops_nothing(one: Stack, setting: dict[str, str], problem: str) -> None:
    before = pids(one)
    there = addresses(one)["REDIS"].removeprefix("redis://")
    wrong = {name: value.format(there) for name, value in setting.items()}
    done = one.weathervane("up", check=False, **given(wrong))
    assert done.returncode == 1
    assert problem in done.stderr
    assert "Traceback" not in done.stderr
    assert "wr0ng" not in done.stderr
    one.wait_running("infer")
    running = pids(one)
    assert {name for name in running if running[name] != before[name]} <= (
        {"infer"} if "DEVICE" in setting else set()
    )
    assert one.weathervane("up").stdout.startswith("already running")


def test_only_what_a_setting_is_for_starts_anew_and_secrets_stay_in_memory(
    one: Stack, tmp_path: Path
) -> None:
    another = str(make_release(tmp_path / "another"))
    before = pids(one)
    done = one.weathervane("up", RELEASE=another)
    assert f"WEATHERVANE_RELEASE: {another}, was " in done.stderr
    assert "Restarting infer; all else runs on." in done.stderr
    changed = {name for name, pid in pids(one).items() if pid != before[name]}
    assert changed == {"infer"}
    done = one.weathervane("up", AUTHOR_SALT="0ther-salt")
    assert "WEATHERVANE_AUTHOR_SALT: another secret" in done.stderr
    one.weathervane("up", AUTHOR_SALT=SECRET)
    files = [path for path in (one.folder / ".weathervane").rglob("*") if path.is_file()]
    for secret in (SECRET, "0ther-salt"):
        assert not [path for path in files if secret.encode() in path.read_bytes()]
    kept = one.folder / ".weathervane" / "settings.json"
    assert kept.stat().st_mode & 0o077 == 0


def test_status_names_what_is_down_and_why_and_counts_restarts(one: Stack) -> None:
    assert one.weathervane("status", "--json").returncode == 0
    restarts = one.status()["workers"]["infer"]["restarts"]
    pid = one.kill("infer")

    def said() -> bool:
        done = one.weathervane("status", "--json", check=False)
        worker = json.loads(done.stdout)["workers"]["infer"]
        down = worker["state"] != "running"
        assert done.returncode == (1 if down else 0)
        assert bool(worker["reason"]) == down
        return bool(worker["pid"] != pid and not down and worker["restarts"] == restarts + 1)

    until(said, "it has come back", 90)
    status = one.status()
    assert set(status) >= {"kafka", "redis", "page", "workers", "lag"}
    assert all(worker["uptime"] >= 0 for worker in status["workers"].values())
    assert status["lag"]["ingest"] == 0
    for name in ("aggregate", "infer"):
        os.kill(status["workers"][name]["pid"], signal.SIGSTOP)
    try:
        done = one.weathervane("status", check=False)
        assert done.returncode == 1
        assert "infer: it has not answered" in done.stdout
    finally:
        for name in ("aggregate", "infer"):
            os.kill(status["workers"][name]["pid"], signal.SIGCONT)


def test_restart_and_logs_take_the_names_of_status(one: Stack) -> None:
    before = pids(one)
    assert one.weathervane("restart", "aggregate").stdout == "aggregate was restarted\n"
    now = pids(one)
    assert {name for name in now if now[name] != before[name]} == {"aggregate"}
    done = one.weathervane("restart", "postman", check=False)
    assert done.returncode == 1
    assert "there is no postman; known are kafka, redis, ingest, infer" in done.stderr
    lines = one.weathervane("logs", "aggregate", "-n", "2").stdout.splitlines()
    assert len(lines) == 2
    assert "aggregate" in " ".join(lines)
    assert "infer | " in one.weathervane("logs", "-n", "1").stdout
    done = one.weathervane("logs", "postman", check=False)
    assert done.returncode == 1
    assert "known are kafka, redis, ingest" in done.stderr


def test_what_was_there_is_said_and_a_wipe_asks(systems: tuple[Stack, Stack]) -> None:
    other = systems[1]
    home = other.folder / ".weathervane"
    done = other.weathervane("down", "--wipe", check=False)
    assert done.returncode == 1
    assert "--yes" in done.stderr
    assert posts_of(other) >= 0, "it runs on"
    assert other.weathervane("down").stdout == "stopped\n"
    done = other.weathervane("totals", check=False)
    assert f"nothing runs here: the system of {home} was stopped or has ended" in done.stderr
    done = other.weathervane("status", check=False)
    assert done.returncode == 1
    assert "is stopped" in done.stdout
    assert other.status()["kafka"] is None
    # A secret is not on the disk: without it there is another system.
    done = other.weathervane("up", check=False)
    assert done.returncode == 1
    assert "the last start was given WEATHERVANE_AUTHOR_SALT" in done.stderr
    (home / "mine.toml").touch()
    done = other.weathervane("down", "--wipe", "--yes")
    assert "mine.toml" in done.stderr
    assert [path.name for path in home.iterdir()] == ["mine.toml"]
