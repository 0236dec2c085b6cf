"""The command lines that the documents show."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    *sorted(ROOT.glob("README*.md")),
    ROOT / "CONTRIBUTING.md",
    *sorted(ROOT.glob("docs/*.md")),
    *sorted(ROOT.glob("docs/decisions/*.md")),
]
PROGRAMS = ("weathervane", "python", "make", "docker", "curl", ".venv/bin/pytest", "pip", "uv")
PLAIN = ("", "console", "sh", "bash")
"""Kinds of blocks that hold command lines."""


@dataclass(frozen=True)
class Shown:
    """A command line, its first place in the documents, and the variables set before it."""

    words: tuple[str, ...]
    place: str
    environment: tuple[tuple[str, str], ...] = ()

    @property
    def program(self) -> str:
        return self.words[0]

    @property
    def arguments(self) -> tuple[str, ...]:
        return self.words[1:]


def commands() -> list[Shown]:
    """Each command line of the blocks once, in the order in which they are read."""
    found: dict[tuple[str, ...], Shown] = {}
    for document in DOCUMENTS:
        for place, line in _lines(document):
            for shown in _read(line, place):
                found.setdefault(shown.words, shown)
    return list(found.values())


def mentions() -> list[tuple[str, str]]:
    """What stands as `weathervane …` within sentences, with its place."""
    found = []
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        for match in re.finditer(r"`weathervane ([^`\n]+)`", text):
            line = text.count("\n", 0, match.start()) + 1
            found.append((f"{document.relative_to(ROOT)}:{line}", match[1]))
    return found


def _lines(document: Path) -> Iterator[tuple[str, str]]:
    """Lines of the blocks, those that end in a backslash joined to the next."""
    kind: str | None = None
    whole = ""
    for number, line in enumerate(document.read_text(encoding="utf-8").splitlines(), 1):
        if line.lstrip().startswith("```"):
            kind = line.strip("` ") if kind is None else None
            continue
        if not (kind in PLAIN if kind is not None else line.startswith("    ")):
            continue
        whole += line.strip().removesuffix("\\")
        if not line.endswith("\\"):
            yield f"{document.relative_to(ROOT)}:{number}", whole.removeprefix("$ ")
            whole = ""


def _read(line: str, place: str) -> Iterator[Shown]:
    """The commands of one line; none where it is something else."""
    for part in re.split(r"\s(?:&&|\|)\s", line):
        try:
            words = shlex.split(part, comments=True)
        except ValueError:
            continue
        environment = []
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
            name, _, value = words.pop(0).partition("=")
            environment.append((name, value))
        if words and words[0] in PROGRAMS:
            yield Shown(tuple(words), place, tuple(environment))
