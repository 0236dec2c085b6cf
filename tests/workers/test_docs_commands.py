"""Every command in the documents exists and takes what it is given, and all that can run here do.

One system with a tiny model serves the file. A command that is new in the documents is run as it
stands; where that cannot be, it belongs into NOT_RUN with the reason.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import typer
from PIL import Image
from typer.core import TyperGroup
from typer.testing import CliRunner

from tests.models.classic_data import write_folder
from tests.models.test_textbook import RECIPE as TEXTBOOK
from tests.models.test_training import RECIPE, row, write
from tests.models.test_training import world as world  # noqa: PLC0414
from tests.models.tiny import make_release
from tests.waiting import until
from tests.workers.docs_commands import DOCUMENTS, ROOT, Shown, commands, mentions
from tests.workers.stack import Stack
from workers.cli import app

COMMANDS = commands()
OURS = [shown for shown in COMMANDS if shown.program == "weathervane"]
NOT_RUN = {
    "weathervane up": "the fixture runs it",
    "weathervane down": "the fixture runs it, when all others have run",
    "weathervane demo": "for minutes, on a system of its own: tests/workers/test_demo.py",
    "weathervane source": "reads a platform over the network: tests/workers/test_sources.py",
    "weathervane run": "until SIGTERM: the system of the fixture is made of them",
    "weathervane compare": "trains for hours: tests/models/test_compare.py",
    "weathervane export --to onnx": "takes half a minute: tests/models/test_export.py",
    "weathervane notify test": "needs receivers: tests/workers/test_notify.py",
    "make": "sets up, tests or runs everything",
    "docker": "no Docker here: tests/deploy/test_compose.py",
    ".venv/bin/pytest": "would run tests within tests",
    "python": "benchmarks and reports over all data",
    "curl -X": "acknowledges an alert that is not there: tests/workers/test_api_alerts.py",
    "curl -N": "a stream without end: tests/workers/test_api_stream.py",
}
FOLLOWS = {"tail": ("--limit", "1")}
"""What follows for ever, and what ends it."""
ENDLESS = {"-f", "--follow"}


def reason(shown: Shown) -> str | None:
    """Why this command is not run; None where it is."""
    line = " ".join(shown.words)
    if ENDLESS & set(shown.words):
        return "follows for ever"
    return next(
        (why for start, why in NOT_RUN.items() if line == start or line.startswith(f"{start} ")),
        None,
    )


@pytest.fixture
def own_environment() -> Iterator[None]:
    """A command completes the environment of its process by what `up` remembers."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


def called(shown: Shown) -> str:
    return " ".join(shown.words)


def walk(words: Sequence[str]) -> tuple[Any, str, list[str]]:
    """The command that these words name, its name, and what is left for it.

    Raises:
        LookupError: there is no such command.
    """
    command: Any = typer.main.get_command(app)
    name, rest = "weathervane", list(words)
    while isinstance(command, TyperGroup):
        if not rest and words:
            break  # a group, as a sentence may name it
        if not rest or rest[0] not in command.commands:
            raise LookupError(f"there is no command {' '.join(words)}")
        name = rest.pop(0)
        command = command.commands[name]
    return command, name, rest


def test_the_documents_are_read() -> None:
    starts = {" ".join(shown.words[:2]) for shown in COMMANDS}
    assert {"weathervane send", "weathervane score", "make demo", "docker compose"} <= starts
    assert {document.name for document in DOCUMENTS} >= {"README.md", "README.zh.md", "models.md"}
    assert len(OURS) > 25
    assert len(mentions()) > 15


@pytest.mark.parametrize("shown", OURS, ids=called)
def test_the_command_takes_what_it_is_given(shown: Shown) -> None:
    command, name, rest = walk(shown.arguments)
    command.make_context(name, rest).close()


@pytest.mark.parametrize("place", [f"{place} {words}" for place, words in mentions()])
def test_what_is_mentioned_exists(place: str) -> None:
    words = place.split(" ", 1)[1].split()
    if words[0].startswith("-"):
        assert CliRunner().invoke(app, words).exit_code == 0
        return
    command, _, rest = walk(words)
    known = {name for parameter in command.params for name in parameter.opts}
    options = {word.partition("=")[0] for word in rest if word.startswith("-")}
    assert options <= known | {"-h", "--help"}


def test_targets_files_and_modules_exist() -> None:
    made = (ROOT / "Makefile").read_text()
    for shown in COMMANDS:
        words = shown.arguments
        if shown.program == "make":
            assert re.search(rf"^{words[0]}:", made, re.MULTILINE), shown.place
        elif shown.program == "docker":
            files = [words[at + 1] for at, word in enumerate(words) if word == "-f"]
            assert all((ROOT / file).is_file() for file in files), shown.place
        elif words[:1] == ("-m",) and shown.program == "python":
            assert importlib.util.find_spec(words[1]), shown.place


def test_no_package_of_strangers_is_named() -> None:
    """`weathervane` in the registry is somebody else's."""
    code = [
        path for part in ("models", "pipeline", "workers") for path in (ROOT / part).rglob("*.py")
    ]
    for path in [*DOCUMENTS, *code, *ROOT.glob("models/releases/*/*.md")]:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"pip install[^`\n]*weathervane", text), path
        assert "weathervane[" not in text, path


def test_each_reason_is_needed() -> None:
    lines = [f"{called(shown)} " for shown in COMMANDS] + [
        f"weathervane {words} " for _, words in mentions()
    ]
    unused = [start for start in NOT_RUN if not any(line.startswith(f"{start} ") for line in lines)]
    assert unused == []


@pytest.fixture(scope="module")
def place(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all that the documents' commands name."""
    folder = tmp_path_factory.mktemp("docs")
    for name, text in (("fused-joint", RECIPE), ("fused-open", RECIPE), ("textbook", TEXTBOOK)):
        (folder / "recipes").mkdir(exist_ok=True)
        (folder / "recipes" / f"{name}.toml").write_text(text)
    write(world, "mvsa_single", "dev", [row(n, "joy", text=True) for n in range(8)])
    for name in ("DATA", "DIR"):
        (folder / name).symlink_to(world / "data")
    (folder / "weights").symlink_to(world / "weights")
    write_folder(folder / "FOLDER", 30)
    make_release(folder / ".runs" / "new" / "release")
    make_release(folder / "tiny")
    for name in ("picture.jpg", "a.jpg"):
        Image.effect_noise((300, 200), 50).save(folder / name)
    for name in ("voice.wav", "b.wav"):
        soundfile.write(folder / name, 0.2 * np.sin(np.arange(22_050) / 9), 22_050)
    (folder / "rules.toml").write_text((ROOT / "deploy" / "rules.toml").read_text())
    (folder / "posts.csv").write_text("id,text\n1,so happy\n2,\n")
    rows = "".join(f"2026-01-{d:02} {h:02}:00:00,{d + h}\n" for d in range(1, 9) for h in range(24))
    (folder / "mentions.csv").write_text(f"timestamp,value\n{rows}")
    posts = [
        {
            "id": f"weathervane:{number}",
            "created_at": "2026-01-31T12:00:00Z",
            "text": "so happy today",
            "author": {"id": author},
        }
        for number, author in ((42, "8"), (43, "7"), (44, "7"))
    ]
    lines = [*map(json.dumps, posts), "no JSON"]
    (folder / "posts.jsonl").write_text("\n".join(lines))
    return folder


@pytest.fixture(scope="module")
def system(place: Path) -> Iterator[Stack]:
    """A running system with the tiny model, the posts counted and one dead letter in it."""
    stack = Stack(place)
    release = str(place / "tiny")
    try:
        stack.weathervane("up", RELEASE=release, DEVICE="cpu")
        stack.weathervane("send", "posts.jsonl", "--platform", "weathervane")
        until(lambda: stack.totals()["all"]["posts"] == 3, "the posts are counted", 60)
        yield stack
    finally:
        stack.weathervane("down", RELEASE=release, DEVICE="cpu")


@pytest.mark.servers
@pytest.mark.timeout(300)
@pytest.mark.parametrize("shown", [one for one in OURS if reason(one) is None], ids=called)
def test_the_command_runs(
    shown: Shown, system: Stack, monkeypatch: pytest.MonkeyPatch, own_environment: None
) -> None:
    monkeypatch.chdir(system.folder)
    monkeypatch.setenv("WEATHERVANE_RELEASE", str(system.folder / "tiny"))
    monkeypatch.setenv("WEATHERVANE_DEVICE", "cpu")
    for name, value in shown.environment:
        monkeypatch.setenv(name, value)
    words = ["so happy today" if word == "…" else word for word in shown.arguments]
    done = CliRunner().invoke(app, [*words, *FOLLOWS.get(words[0], ())])
    # What an example before erased is not there any more.
    erased = words[0] == "erase" and "nothing of" in done.output + str(done.exception)
    assert done.exit_code == 0 or erased, f"{shown.place}: {done.exception!r} {done.output}"


@pytest.mark.servers
@pytest.mark.parametrize(
    "shown", [s for s in COMMANDS if s.program == "curl" and reason(s) is None], ids=called
)
def test_the_address_answers(shown: Shown, system: Stack) -> None:
    [address] = [word for word in shown.words if word.startswith("http://")]
    page = system.status()["page"]
    with urllib.request.urlopen(address.replace("http://127.0.0.1:8600", page), timeout=10) as got:  # noqa: S310
        assert got.status == 200
