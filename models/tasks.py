"""What a corpus asks of a model, and how well it was answered."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt

from models.metrics import (
    Bools,
    Floats,
    Ints,
    Values,
    average_precision,
    calibration_error,
    chance_calibration_error,
    choice_scores,
    confusion,
    expected_calibration_error,
    label_scores,
    macro_average_precision,
    rates,
    reliability,
    risk_coverage,
    risk_coverage_area,
)

CURVE_POINTS = 100


@dataclass(frozen=True, slots=True)
class Task:
    """Answers to the labels that a corpus annotates, and the labels.

    `probabilities` and `actual` `(rows, labels)`, the latter 0 or 1, or shares of raters.
    `passed` `(rows, labels)`: the labels that pass their thresholds, where rows have any number
    of them; None where each row has one, and the likeliest counts. `confidence` `(rows,)` is
    what the model abstains by. `derived` `(labels,)`: labels that the corpus does not give itself
    but that follow from those it gives, such as the neutral of a post without any of its
    emotions. Precision, recall and F1 leave them out, as those who publish on the corpus do.
    """

    names: tuple[str, ...]
    probabilities: Floats
    actual: Floats
    passed: Bools | None
    confidence: Floats
    groups: list[str | None] | None
    derived: Bools | None = None

    @property
    def guess(self) -> Ints:
        """The likeliest label of each row."""
        return np.asarray(self.probabilities.argmax(axis=1))

    @property
    def truth(self) -> Ints:
        """The label of each row, where it has one."""
        return np.asarray(self.actual.argmax(axis=1))

    @property
    def right(self) -> Bools:
        """Whether the likeliest label of a row is its label, or one of them."""
        if self.passed is None:
            return np.asarray(self.guess == self.truth)
        return np.asarray(self.actual[np.arange(len(self.guess)), self.guess] > 0.5)

    @property
    def marked(self) -> Bools:
        """`actual` as true or false."""
        if self.passed is None:
            return np.eye(len(self.names), dtype=bool)[self.truth]
        return self.actual > 0.5

    @property
    def given(self) -> Bools:
        """The labels that the model gives, `(rows, labels)`."""
        return (
            np.eye(len(self.names), dtype=bool)[self.guess] if self.passed is None else self.passed
        )


class LabelScores(msgspec.Struct, frozen=True):
    """One label against the rest. `derived`: see `Task`."""

    label: str
    rows: int
    precision: float
    recall: float
    f1: float
    pr_auc: float | None
    calibration_error: float
    derived: bool = False


class TaskReport(msgspec.Struct, frozen=True):
    """Everything about one task but its headline scores.

    `confusion`: rows of label i (outer) that were given label j; with several labels a row, a row
    counts in every cell of its labels. `reliability` holds `(mean confidence, share right, rows)`
    a bin, of the likeliest label, and of all labels together. `chance_calibration_error`: that of
    the likeliest label, were the model calibrated perfectly. `coverage` and `risk`: the share of
    wrong answers when that share of rows is answered, surest first.
    """

    one_label: bool
    labels: list[LabelScores]
    confusion: list[list[int]]
    reliability: list[tuple[float, float, int]]
    label_reliability: list[tuple[float, float, int]]
    chance_calibration_error: float
    coverage: list[float]
    risk: list[float]


def measure(task: Task) -> Callable[[Floats | None], Mapping[str, Values]]:
    """The scores of a task as a function of row weights (models/intervals.py).

    One label a row: `accuracy`, `unweighted_recall`; several: `micro_f1`, `macro_recall`,
    `exact_match`. Both: `macro_f1`, `macro_precision`, `pr_auc` (macro), `calibration_error` of
    the likeliest label, `label_calibration_error` (mean over labels), `risk_coverage_area`. The
    last three are of all labels, the others leave out the `derived`.
    """
    top = task.probabilities.max(axis=1)
    right, marked, classes = task.right, task.marked, len(task.names)
    own = np.ones(classes, dtype=bool) if task.derived is None else ~task.derived

    def scores(weights: Floats | None) -> Mapping[str, Values]:
        by_label = [
            expected_calibration_error(p, a, weights)
            for p, a in zip(task.probabilities.T, task.actual.T, strict=True)
        ]
        chosen = (
            choice_scores(confusion(task.guess, task.truth, classes, weights))
            if task.passed is None
            else label_scores(task.passed[:, own], marked[:, own], weights)
        )
        return chosen | {
            "pr_auc": macro_average_precision(task.probabilities[:, own], marked[:, own], weights),
            "calibration_error": expected_calibration_error(top, right, weights),
            "label_calibration_error": np.mean(by_label, axis=0),
            "risk_coverage_area": risk_coverage_area(task.confidence, ~right, weights),
        }

    return scores


def report(task: Task) -> TaskReport:
    """The details of a task: labels, confusions, reliability, risk and coverage."""
    marked, given = task.marked, task.given
    coverage, risk = risk_coverage(task.confidence, ~task.right)
    places = np.unique(np.linspace(0, len(coverage) - 1, CURVE_POINTS).astype(int))
    return TaskReport(
        one_label=task.passed is None,
        labels=[_label(task, marked, given, column) for column in range(len(task.names))],
        confusion=(marked.T.astype(int) @ given.astype(int)).tolist(),
        reliability=reliability(task.probabilities.max(axis=1), task.right),
        label_reliability=reliability(task.probabilities.ravel(), task.actual.ravel()),
        chance_calibration_error=chance_calibration_error(task.probabilities.max(axis=1)),
        coverage=coverage[places].tolist(),
        risk=risk[places].tolist(),
    )


def _label(task: Task, marked: Bools, given: Bools, column: int) -> LabelScores:
    actual, passed = marked[:, column], given[:, column]
    counts: list[npt.NDArray[np.float64]] = [
        np.asarray(part.sum(), dtype=np.float64) for part in (actual & passed, passed, actual)
    ]
    precision, recall, harmonic = rates(*counts)
    area = float(average_precision(task.probabilities[:, column], actual))
    return LabelScores(
        label=task.names[column],
        rows=int(actual.sum()),
        precision=float(precision),
        recall=float(recall),
        f1=float(harmonic),
        pr_auc=None if np.isnan(area) else area,
        calibration_error=calibration_error(task.probabilities[:, column], task.actual[:, column]),
        derived=task.derived is not None and bool(task.derived[column]),
    )
