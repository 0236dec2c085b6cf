"""`predict` and `evaluate`: a Parquet file or folder through the model, outside the pipeline."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from models.evaluation import POLARITY
from models.intervals import Estimate
from models.registry import find_release
from models.report.canvas import figure
from models.report.page import write_report
from models.report.study import Comparison, ModelReport, study
from models.robustness import Robustness
from models.scoring import score_parquet
from pipeline.errors import SettingsError
from pipeline.settings import Settings
from workers.progress import Progress

COLUMNS = ("accuracy", "macro_f1", "pr_auc", "calibration_error", "risk_coverage_area")


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


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What `evaluate` is asked for. Without `models`, the shipped release is scored."""

    data: Path
    split: str = "dev"
    corpora: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    robustness: bool = False
    out: Path | None = None


def print_evaluation(settings: Settings, wanted: Evaluation, as_json: bool) -> None:
    """Print the scores of the releases, corpus by corpus; write the report where one is wanted.

    Raises:
        ModelError: there is no such corpus or release, or nothing to draw with.
    """
    if wanted.out is not None:
        figure(1, 1)  # so that what is missing is said before the work and not after it
    releases = [find_release(name) for name in wanted.models or (settings.release,)]
    with Progress("scored", None) as progress:
        found = study(
            releases,
            wanted.data,
            wanted.split,
            wanted.corpora or None,
            device=settings.device,
            with_robustness=wanted.robustness,
            done=progress.advance,
        )
    written = write_report(found, wanted.out) if wanted.out is not None else []
    for path in written:
        print(path, file=sys.stderr)
    if as_json:
        print(msgspec.json.encode(found).decode())
        return
    console = Console()
    for report in found.models:
        console.print(_scores(report))
        if report.robustness:
            console.print(_robustness(report.robustness))
    for comparison in found.comparisons:
        console.print(_compared(comparison), highlight=False)


def _scores(report: ModelReport) -> Table:
    table = Table("corpus", "rows", *(name.replace("_", " ") for name in COLUMNS))
    table.title = report.model
    for corpus, found in report.corpora.items():
        for prefix in ("", POLARITY):
            scores = found.scores
            if f"{prefix}macro_f1" in scores:
                cells = [_shown(scores.get(prefix + name)) for name in COLUMNS]
                name = f"{corpus}, polarity" if prefix else corpus
                table.add_row(name, str(found.rows), *cells)
    return table


def _robustness(found: Robustness) -> Table:
    table = Table("corpus", "what is done to it", "score", "holds?")
    for subset in found.subsets:
        table.add_row(subset.corpus, f"only {' + '.join(subset.modalities)}", _shown(subset.score))
    for one in found.added:
        what = f"unrelated {' + '.join(one.added)} added"
        table.add_row(one.corpus, what, _shown(one.together), _holds(one.within, "costs a point"))
    for curve in found.curves:
        values = " ".join(f"{score.value:.2f}" for score in curve.scores)
        table.add_row(curve.corpus, curve.change, values, _holds(not curve.rises, "rises"))
    return table


def _holds(well: bool, fault: str) -> str:
    return "yes" if well else f"no, {fault}"


def _compared(one: Comparison) -> str:
    difference = one.scores[one.scored_by]
    return (
        f"{one.corpus}, {one.scored_by.replace('_', ' ')}: {one.first} less {one.second} "
        f"{difference.value:+.3f} [{difference.low:+.3f}, {difference.high:+.3f}], "
        f"p {difference.p:.3f}"
    )


def _shown(value: Estimate | None) -> str:
    return "" if value is None else f"{value.value:.3f} ({value.low:.2f}-{value.high:.2f})"


def _rows(source: Path) -> int | None:
    try:
        return int(pq.read_metadata(source).num_rows)
    except (OSError, ValueError):
        return None
