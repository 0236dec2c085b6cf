"""What ships, shown and exported."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from models.registry import Shipped, find_release, shipped
from models.release import verify
from pipeline.errors import SettingsError
from pipeline.settings import Settings

SHOWN = ("macro_f1", "accuracy", "polarity_accuracy")  # the first that a corpus has


def print_shipped(as_json: bool) -> None:
    """A table of the releases, or one JSON object by name."""
    found = shipped()
    if as_json:
        print(json.dumps({release.manifest.name: _facts(release) for release in found}))
        return
    table = Table("name", "reads", "use", "size", "scores on dev")
    for release in found:
        manifest = release.manifest
        table.add_row(
            manifest.name,
            ", ".join(manifest.modalities),
            manifest.use,
            f"{release.size / 1e6:.0f} MB",
            "\n".join(_score(corpus, values) for corpus, values in release.scores.items()),
        )
    Console().print(table)
    print("use research: some of its training sets allow no other. WEATHERVANE_RELEASE=name picks.")


def print_card(name: str) -> None:
    """The card, after the folder was verified.

    Raises:
        ReleaseError: there is no such release, or it was altered.
        SettingsError: it has no card.
    """
    release = find_release(name)
    manifest = verify(release)
    for card in ("card.md", "README.md"):
        if card in manifest.sha256:
            print((release / card).read_text(encoding="utf-8"))
            return
    raise SettingsError(f"{release} has no card")


def export_release(settings: Settings, out: Path, target: str, only: Sequence[Any]) -> None:
    """Write the model of the settings into `out`.

    Raises:
        SettingsError: `out` holds something else, or `only` does not go with the target.
        ModelError: the release cannot be trusted, or has no such tower.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise SettingsError(f"{out} is not an empty folder: name another")
    release = find_release(settings.release)
    if target == "transformers":
        from models.export.hub import export_transformers

        if only:
            raise SettingsError("--only picks towers of an ONNX graph; a folder has them all")
        export_transformers(release, out)
    else:
        from models.export.graph import export_onnx

        export_onnx(release, out, only)
    print(f"written: {out}")


def _facts(release: Shipped) -> dict[str, object]:
    manifest = release.manifest
    return {
        "modalities": manifest.modalities,
        "use": manifest.use,
        "bytes": release.size,
        "scores": release.scores,
    }


def _score(corpus: str, values: dict[str, float]) -> str:
    name = next((name for name in SHOWN if name in values), None)
    return f"{corpus} {name.replace('_', ' ')} {values[name]:.3f}" if name else corpus
