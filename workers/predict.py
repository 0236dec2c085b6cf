"""`predict` and `evaluate`: a Parquet file or folder through the model, outside the pipeline."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from models.evaluation import evaluate
from models.registry import find_release
from models.scoring import score_parquet
from pipeline.errors import SettingsError
from pipeline.settings import Settings
from workers.progress import Progress


def predict(settings: Settings, source: Path, out: Path) -> None:
    """Score a Parquet file into another.

    Raises:
        SettingsError: there is no such file, or no folder to write to.
        ModelError: the file or the release cannot be read.
    """
    if not source.is_file():
        raise SettingsError(f"there is no file {source}")
    if not out.absolute().parent.is_dir():
        raise SettingsError(f"there is no folder {out.absolute().parent}")
    release = find_release(settings.release)
    with Progress("scored", _rows(source)) as progress:
        unreadable = score_parquet(release, source, out, settings.device, progress.at)
    if unreadable:
        print(f"{unreadable} rows could not be read and are marked abstained", file=sys.stderr)


def print_evaluation(settings: Settings, data: Path, split: str, as_json: bool) -> None:
    """Print the scores of the release on a split, corpus by corpus."""
    scores = evaluate(find_release(settings.release), data, split)
    if not scores:
        raise SettingsError(f"there is no {split}.parquet in the folders of {data}")
    if as_json:
        print(json.dumps(scores))
        return
    names = sorted({name for values in scores.values() for name in values})
    table = Table("corpus", *(name.replace("_", " ") for name in names))
    for corpus, values in scores.items():
        table.add_row(corpus, *(_shown(name, values.get(name)) for name in names))
    Console().print(table)


def _shown(name: str, value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.0f}" if name in ("rows", "errors") else f"{value:.3f}"


def _rows(source: Path) -> int | None:
    try:
        return int(pq.read_metadata(source).num_rows)
    except (OSError, ValueError):
        return None
