"""`predict` and `evaluate`: a file of rows or a folder through the model, outside the pipeline."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from models.evaluation import POLARITY
from models.intervals import Estimate
from models.registry import find_release
from models.report.canvas import figure
from models.report.page import write_report
from models.report.study import Comparison, ModelReport, study
from models.robustness import Robustness
from models.scoring import open_source, score_parquet
from pipeline.errors import SettingsError
from pipeline.settings import Settings
from workers.clean import Cleaner, clean
from workers.progress import Progress

COLUMNS = ("accuracy", "macro_f1", "pr_auc", "calibration_error", "risk_coverage_area")


def predict(settings: Settings, source: Path, out: Path) -> None:
    """Score a file of rows into a Parquet file.

    Raises:
        SettingsError: there is no such file, or no place to write to.
        ModelError: the file or the release cannot be read.
    """
    _check_places(source, out)
    file = open_source(source)
    if not set(file.columns) - {"id"}:
        print(f"{source} has none of the columns text, image, audio", file=sys.stderr)
    release = find_release(settings.release)
    with Progress("scored", file.count) as progress, Cleaner() as cleaner:
        spoilt = score_parquet(release, source, out, settings.device, progress.at, clean=cleaner)
    if spoilt:
        what = "1 row has" if spoilt == 1 else f"{spoilt:,} rows have"
        print(
            f"{what} something that could not be read: the column error says what", file=sys.stderr
        )


def _check_places(source: Path, out: Path) -> None:
    if source.is_dir():
        raise SettingsError(f"{source} is a folder; give a file of rows")
    if not source.exists():
        raise SettingsError(f"there is no file {source}")
    if out.is_dir():
        raise SettingsError(f"{out} is a folder; name the file to write")
    if not out.absolute().parent.is_dir():
        raise SettingsError(f"there is no folder {out.absolute().parent}")
    if out.exists() and out.samefile(source):
        raise SettingsError(f"{out} is the file that is read; name another one")


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
            clean=clean,
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
