"""The comparison as a page: tables in Markdown, written between two markers of a file."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from models.compare.recipe import ComparedTask, CompareRecipe
from models.compare.run import Row, names_of, title_of
from models.errors import ModelError
from models.intervals import Estimate, bootstrap
from models.metrics import Floats, Ints, Values, choice_scores, confusion

BEGIN, END = "<!-- begin: weathervane compare -->", "<!-- end: weathervane compare -->"
HEAD = (
    "| model | parameters | learnt from | accuracy | macro-F1 | CPU ms a post |\n"
    "|---|---|---|---|---|---|"
)
TAKEN = "The same fusions with modalities taken away, macro-F1:"


def scores(row: Row) -> Mapping[str, Estimate]:
    """Accuracy and macro-F1 with 95% intervals by resampling the posts."""
    predicted, actual = np.array(row.predicted), np.array(row.actual)

    def measure(weights: Floats) -> Mapping[str, Values]:
        return choice_scores(confusion(predicted, actual, len(row.classes), weights))

    return bootstrap(measure, len(actual))


def markdown(plan: CompareRecipe, rows: Sequence[Row], page: str = "") -> str:
    """All tables, a section a task. A row that is not finished stays as it stands in `page`."""
    before = _sections(page)
    sections = []
    for task in plan.task:
        mine = [row for row in rows if row.task == task.name]
        old = before.get(task.title, [])
        if mine:
            sections.append(_section(task, mine, old))
        elif old:
            sections.append("\n".join(old).strip())
    return "\n\n".join(sections)


def _sections(page: str) -> dict[str, list[str]]:
    """The lines of each section that stands between the markers, by title."""
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in page.partition(BEGIN)[2].partition(END)[0].splitlines():
        if line.startswith("### "):
            lines = found.setdefault(line.removeprefix("### "), [])
        lines.append(line)
    return found


def _joined(names: Sequence[str], made: Mapping[str, str], old: Sequence[str]) -> dict[str, str]:
    """By name the line that was made, else the one of that title in an old table."""
    found: dict[str, str] = {}
    for name in names:
        start = f"| {title_of(name)} |"
        kept = [line for line in old if line.startswith(start)]
        if name in made or kept:
            found[name] = made.get(name) or kept[0]
    return found


def read_page(path: Path) -> str:
    """A page that has a place for the tables. Raises ModelError for any other."""
    try:
        page = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from error
    if BEGIN not in page or END not in page.partition(BEGIN)[2]:
        raise ModelError(f"{path} has no place for the tables: put {BEGIN} and {END} in it")
    return page


def write_page(path: Path, content: str) -> None:
    """Put `content` between the markers of a file, in place of what stood there.

    Raises ModelError where the file has no markers.
    """
    before, _, rest = read_page(path).partition(BEGIN)
    after = rest.partition(END)[2]
    path.write_text(f"{before}{BEGIN}\n\n{content}\n\n{END}{after}", encoding="utf-8")


def _section(task: ComparedTask, rows: Sequence[Row], old: Sequence[str]) -> str:
    first, names = rows[0], names_of(task)
    counts = np.bincount(first.actual, minlength=len(first.classes))
    classes = ", ".join(f"{n} {count}" for n, count in zip(first.classes, counts, strict=True))
    cut = old.index(TAKEN) if TAKEN in old else len(old)
    lines = _joined(names, {row.name: _line(row) for row in rows}, old[:cut])
    parts = [
        f"### {task.title}",
        f"{len(first.actual)} posts scored: {classes}.",
        "\n".join([HEAD, *lines.values()]),
    ]
    missing = [name for name in names if name not in lines]
    if missing:
        parts.append(f"Not run yet: {', '.join(missing)}.")
    fusions = [row for row in rows if row.subsets]
    taken = _joined(names, {row.name: _subset_line(row) for row in fusions}, old[cut:])
    if taken:
        head = _subset_head(fusions[0]) if fusions else [*old[cut + 2 : cut + 4]]
        parts += [TAKEN, "\n".join([*head, *taken.values()])]
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


def _subset_head(row: Row) -> list[str]:
    names = list(row.subsets)
    return [f"| fusion | {' | '.join(names)} | all |", "|---" * (len(names) + 2) + "|"]


def _subset_line(row: Row) -> str:
    actual = np.array(row.actual)
    said = [*row.subsets.values(), row.predicted]
    cells = [f"{_macro_f1(np.array(places), actual, row):.3f}" for places in said]
    return f"| {row.title} | {' | '.join(cells)} |"


def _macro_f1(predicted: Ints, actual: Ints, row: Row) -> float:
    return float(choice_scores(confusion(predicted, actual, len(row.classes)))["macro_f1"])
