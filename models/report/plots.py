"""The plots of an evaluation. Each takes what `study` gives and returns a PNG file."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from models.intervals import Estimate
from models.report.canvas import COLOURS, INK, figure, plain, png
from models.report.study import Comparison, ModelReport
from models.robustness import Curve
from models.tasks import TaskReport

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 4  # of small plots beside each other
SIDE = 2.5  # inches
Named = Sequence[tuple[str, TaskReport]]


def scores_plot(reports: Sequence[ModelReport], shown: Sequence[tuple[str, str]]) -> bytes:
    """One row a corpus: its headline score with the interval, a colour a model.

    `shown`: corpus and the name of its score.
    """
    fig = figure(7.5, 0.9 + 0.32 * len(shown) * max(1, 0.6 * len(reports)))
    axes = plain(fig.subplots())
    for index, report in enumerate(reports):
        shift = (index - (len(reports) - 1) / 2) * 0.22
        rows = [report.corpora[corpus].scores[score] for corpus, score in shown]
        places = [len(rows) - 1 - i - shift for i in range(len(rows))]
        _dots(axes, rows, places, COLOURS[index % len(COLOURS)], report.model)
    axes.set_yticks(range(len(shown)), [f"{c}  ({_short(s)})" for c, s in reversed(shown)])
    axes.set_xlim(0, 1)
    axes.set_xlabel("score and 95% interval", fontsize=8)
    if len(reports) > 1:
        axes.legend(fontsize=8, frameon=False, loc="lower left")
    return png(fig)


def reliability_plot(named: Named) -> bytes:
    """Share of right answers over stated confidence; on the diagonal where it keeps its word."""
    fig, grid = _grid(len(named))
    for axes, (name, task) in zip(grid, named, strict=True):
        plain(axes, name)
        axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=":")
        for points, colour, label in (
            (task.label_reliability, COLOURS[5], "every label"),
            (task.reliability, COLOURS[0], "likeliest label"),
        ):
            most = max(rows for *_, rows in points)
            x, y = [p[0] for p in points], [p[1] for p in points]
            axes.plot(x, y, color=colour, linewidth=1.2, label=label)
            axes.scatter(x, y, [4 + 36 * rows / most for *_, rows in points], color=colour)
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        axes.set_aspect("equal")
    _labels(fig, "stated probability", "share that is right")
    return png(fig)


def risk_plot(named: Sequence[tuple[str, TaskReport, float]]) -> bytes:
    """Risk over coverage, with a mark where the shipped threshold abstains.

    `named`: corpus, task, share of rows that the model abstains from.
    """
    fig, grid = _grid(len(named))
    for axes, (name, task, abstained) in zip(grid, named, strict=True):
        plain(axes, name)
        axes.plot(task.coverage, task.risk, color=COLOURS[0], linewidth=1.4)
        covered = 1 - abstained
        nearest = min(range(len(task.coverage)), key=lambda i: abs(task.coverage[i] - covered))
        axes.scatter([task.coverage[nearest]], [task.risk[nearest]], 30, color=COLOURS[1], zorder=3)
        axes.set_xlim(0, 1.03)
        axes.set_ylim(0, max(0.5, *task.risk[len(task.risk) // 10 :]))
    _labels(fig, "share of rows answered, surest first", "share that is wrong")
    return png(fig)


def confusion_plot(named: Named) -> bytes:
    """Rows of each label (down) by the labels that they were given (across), shares of a row."""
    columns = min(3, len(named))
    lines = math.ceil(len(named) / columns)
    fig = figure(3.6 * columns, 3.5 * lines)
    grid = fig.subplots(lines, columns, squeeze=False).ravel()
    for axes in grid[len(named) :]:
        axes.set_visible(False)
    for axes, (name, task) in zip(grid, named, strict=False):
        names = [label.label for label in task.labels]
        shares = [
            [cell / max(1, label.rows) for cell in row]
            for row, label in zip(task.confusion, task.labels, strict=True)
        ]
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for i, row in enumerate(shares):
            for j, share in enumerate(row):
                colour = "white" if share > 0.55 else INK
                axes.text(
                    j, i, f"{share:.0%}"[:-1], ha="center", va="center", fontsize=7, color=colour
                )
        axes.set_xticks(range(len(names)), names, rotation=45, ha="right", fontsize=8)
        axes.set_yticks(range(len(names)), names, fontsize=8)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        axes.set_title(name, loc="left", fontsize=10)
    return png(fig)


def degradation_plot(curves: Sequence[Curve]) -> bytes:
    """One plot a kind of damage, one line a corpus, with its interval."""
    kinds = list(dict.fromkeys(curve.change for curve in curves))
    fig = figure(4.6 * len(kinds), 4.2)
    grid = fig.subplots(1, len(kinds), squeeze=False)[0]
    for axes, kind in zip(grid, kinds, strict=True):
        plain(axes, kind)
        mine = [curve for curve in curves if curve.change == kind]
        for index, curve in enumerate(mine):
            colour = COLOURS[index % len(COLOURS)]
            style = "-" if index < len(COLOURS) else "--"
            places = list(range(len(curve.levels)))
            values = [score.value for score in curve.scores]
            axes.plot(
                places, values, style, color=colour, marker="o", markersize=3, label=curve.corpus
            )
            low, high = [s.low for s in curve.scores], [s.high for s in curve.scores]
            axes.fill_between(places, low, high, color=colour, alpha=0.08, linewidth=0)
        levels = mine[0].levels
        axes.set_xticks(range(len(levels)), ["clean" if v is None else f"{v:g}" for v in levels])
        axes.set_ylim(0, 1)
        axes.legend(fontsize=7, frameon=False, loc="lower left", ncols=2)
    grid[0].set_ylabel("score", fontsize=8)
    return png(fig)


def comparison_plot(comparisons: Sequence[Comparison]) -> bytes:
    """The first model's headline score less the other's, a row a corpus."""
    fig = figure(7.5, 0.9 + 0.32 * len(comparisons))
    axes = plain(fig.subplots())
    rows = [c.scores[c.scored_by] for c in comparisons]
    places = list(range(len(rows) - 1, -1, -1))
    estimates = [Estimate(row.value, row.low, row.high) for row in rows]
    _dots(axes, estimates, [float(p) for p in places], COLOURS[0], "")
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.set_yticks(
        places, [f"{c.corpus} vs {c.second}  ({_short(c.scored_by)})" for c in comparisons]
    )
    axes.set_xlabel(f"{comparisons[0].first} less the other, 95% interval", fontsize=8)
    return png(fig)


def _dots(
    axes: "Axes", rows: Sequence[Estimate], places: Sequence[float], colour: str, label: str
) -> None:
    axes.hlines(
        places, [row.low for row in rows], [row.high for row in rows], color=colour, linewidth=2
    )
    axes.scatter([row.value for row in rows], places, 28, color=colour, label=label, zorder=3)


def _grid(count: int) -> "tuple[Figure, list[Axes]]":
    columns = min(COLUMNS, count)
    lines = math.ceil(count / columns)
    fig = figure(SIDE * columns, SIDE * lines + 0.4)
    every = list(fig.subplots(lines, columns, squeeze=False).ravel())
    for axes in every[count:]:
        axes.set_visible(False)
    return fig, every[:count]


def _labels(fig: "Figure", across: str, up: str) -> None:
    fig.supxlabel(across, fontsize=9, color=INK)
    fig.supylabel(up, fontsize=9, color=INK)
    handles, names = fig.axes[0].get_legend_handles_labels()
    if handles:
        fig.legend(handles, names, loc="outside upper left", fontsize=8, frameon=False, ncols=2)


def _short(score: str) -> str:
    return score.replace("_", " ").replace("macro f1", "macro-F1")
