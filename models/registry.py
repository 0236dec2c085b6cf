"""Which releases there are: those that ship, a folder of one's own, or a name on the hub."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from models.errors import ReleaseError
from models.release import DEFAULT_RELEASE, Manifest, read_manifest, verify

SHIPPED: Final = DEFAULT_RELEASE.parent
HUB_NAME: Final = re.compile(r"[\w-][\w.-]*/[\w.-]+(@[\w.-]+)?")
Scores = dict[str, dict[str, float]]


@dataclass(frozen=True, slots=True)
class Shipped:
    """One release that comes with the program; `size` in bytes, `scores` of its dev splits."""

    path: Path
    manifest: Manifest
    size: int
    scores: Scores


def shipped() -> list[Shipped]:
    """Every release that comes with the program, by name."""
    return [_describe(path) for path in sorted(SHIPPED.iterdir()) if path.is_dir()]


def find_release(name: str | None) -> Path:
    """The folder of a release: a shipped name, a folder, or a hub name such as `org/model@main`.

    Nothing gives the default. What comes from the hub is downloaded once, file by file as its
    manifest names them, and verified; a folder is verified by whoever loads it. Raises
    ReleaseError where there is no such release, or the hub does not give it.
    """
    if not name:
        return DEFAULT_RELEASE
    if (SHIPPED / name).is_dir() and Path(name).name == name:
        return SHIPPED / name
    if Path(name).is_dir():
        return Path(name)
    if HUB_NAME.fullmatch(name):
        return _download(name)
    names = ", ".join(release.manifest.name for release in shipped())
    raise ReleaseError(
        f"there is no release {name}: it is no shipped name ({names}), no folder, and no name on "
        "the Hugging Face hub (org/model)"
    )


def _describe(path: Path) -> Shipped:
    scores = path / "scores.json"
    return Shipped(
        path,
        read_manifest(path),
        sum(file.stat().st_size for file in path.iterdir()),
        msgspec.json.decode(scores.read_bytes(), type=Scores) if scores.is_file() else {},
    )


def _download(name: str) -> Path:
    repository, _, revision = name.partition("@")
    found = _fetch(repository, ["manifest.json"], revision or None)
    # The snapshot is named after its commit: the other files come from the same one.
    _fetch(repository, list(read_manifest(found).sha256), found.name)
    verify(found)
    return found


def _fetch(repository: str, files: Sequence[str], revision: str | None) -> Path:
    from httpx import HTTPError
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, HFValidationError

    try:
        paths = [Path(hf_hub_download(repository, file, revision=revision)) for file in files]
    except EntryNotFoundError as error:
        raise ReleaseError(
            f"{repository} on the hub is no Weathervane release, or is not in the cache and the "
            f"hub does not answer: {_first_line(error)}"
        ) from error
    # RuntimeError: the library's second try after a refused connection uses a closed client.
    except (OSError, HTTPError, HFValidationError, RuntimeError) as error:
        silent = type(error) is RuntimeError
        reason = "the hub does not answer" if silent else _first_line(error)
        raise ReleaseError(f"{repository} cannot be fetched from the hub: {reason}") from error
    return paths[0].parent


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
