"""The comparison as a page: tables in Markdown, written between two markers of a file."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from models.compare.recipe import ComparedTask, CompareRecipe
from models.compare.run import Row, names_of
from models.errors import ModelError
from models.intervals import Estimate, bootstrap
from models.metrics import Floats, Ints, Values, choice_scores, confusion

BEGIN, END = "<!-- begin: weathervane compare -->", "<!-- end: weathervane compare -->"
HEAD = (
    "| model | parameters | learnt from | accuracy | macro-F1 | CPU ms a post |\n"
    "|---|---|---|---|---|---|"
)


def scores(row: Row) -> Mapping[str, Estimate]:
    """Accuracy and macro-F1 with 95% intervals by resampling the posts."""
    predicted, actual = np.array(row.predicted), np.array(row.actual)

    def measure(weights: Floats) -> Mapping[str, Values]:
        return choice_scores(confusion(predicted, actual, len(row.classes), weights))

    return bootstrap(measure, len(actual))


def markdown(plan: CompareRecipe, rows: Sequence[Row]) -> str:
    """All tables, a section a task."""
    sections = []
    for task in plan.task:
        mine = [row for row in rows if row.task == task.name]
        if mine:
            sections.append(_section(task, mine))
    return "\n\n".join(sections)


def write_page(path: Path, content: str) -> None:
    """Put `content` between the markers of a file, in place of what stood there.

    Raises ModelError where the file has no markers.
    """
    page = path.read_text(encoding="utf-8")
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ModelError(f"{path} has no place for the tables: put {BEGIN} and {END} in it")
    path.write_text(f"{before}{BEGIN}\n\n{content}\n\n{END}{after}", encoding="utf-8")


def _section(task: ComparedTask, rows: Sequence[Row]) -> str:
    first = rows[0]
    counts = np.bincount(first.actual, minlength=len(first.classes))
    classes = ", ".join(f"{n} {count}" for n, count in zip(first.classes, counts, strict=True))
    parts = [
        f"### {task.title}",
        f"{len(first.actual)} posts scored: {classes}.",
        "\n".join([HEAD, *(_line(row) for row in rows)]),
    ]
    missing = [name for name in names_of(task) if name not in {row.name for row in rows}]
    if missing:
        parts.append(f"Not run yet: {', '.join(missing)}.")
    fused = [row for row in rows if row.subsets]
    if fused:
        parts += ["The same fusions with modalities taken away, macro-F1:", _subsets(fused)]
    return "\n\n".join(parts)


def _line(row: Row) -> str:
    found = scores(row)
    learnt = f"{row.rows:,} x {row.epochs}" if row.epochs else f"{row.rows:,}" if row.rows else ""
    cost = "" if row.milliseconds is None else f"{row.milliseconds:.1f}"
    size = f"{row.parameters:,}" if row.parameters else ""
    accuracy, f1 = _shown(found["accuracy"]), _shown(found["macro_f1"])
    return f"| {row.title} | {size} | {learnt} | {accuracy} | {f1} | {cost} |"


def _shown(estimate: Estimate) -> str:
    return f"{estimate.value:.3f} ({estimate.low:.3f}–{estimate.high:.3f})"


def _subsets(rows: Sequence[Row]) -> str:
    names = list(rows[0].subsets)
    lines = [f"| fusion | {' | '.join(names)} | all |", "|---" * (len(names) + 2) + "|"]
    for row in rows:
        actual = np.array(row.actual)
        said = [row.subsets.get(name, []) for name in names] + [row.predicted]
        cells = [f"{_macro_f1(np.array(places), actual, row):.3f}" for places in said]
        lines.append(f"| {row.title} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _macro_f1(predicted: Ints, actual: Ints, row: Row) -> float:
    return float(choice_scores(confusion(predicted, actual, len(row.classes)))["macro_f1"])
