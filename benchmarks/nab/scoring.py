"""The scoring rules of the Numenta Anomaly Benchmark, version 1.1.

A detector gives each row a score in [0, 1]; a row is a detection at a threshold when its score
reaches it. The earliest detection in a labelled window earns up to A_TP, a window without one
costs A_FN, every detected row outside the windows costs up to A_FP, less just behind a window.

Source: Lavin and Ahmad, "Evaluating Real-time Anomaly Detection Algorithms" (ICMLA 2015), and
Ahmad, Lavin, Purdy and Agha, "Unsupervised real-time anomaly detection for streaming data"
(Neurocomputing, 2017).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
OUTSIDE = -1
PROBATION_SHARE, PROBATION_ROWS = 0.15, 5000


@dataclass(frozen=True)
class Profile:
    """What a detected window, a false row and a missed window are worth (all positive)."""

    true_positive: float
    false_positive: float
    false_negative: float


PROFILES = {
    "standard": Profile(1.0, 0.11, 1.0),
    "reward_low_FP_rate": Profile(1.0, 0.22, 1.0),
    "reward_low_FN_rate": Profile(1.0, 0.11, 2.0),
}


@dataclass(frozen=True)
class Labelled:
    """The labels of one data file: its rows and the first and last row of each window."""

    rows: int
    windows: tuple[tuple[int, int], ...]

    @property
    def probation(self) -> int:
        """The number of rows at the head of the file that are not scored."""
        return int(PROBATION_SHARE * min(self.rows, PROBATION_ROWS))


@dataclass(frozen=True)
class Counts:
    """Detected and undetected rows inside and outside the windows."""

    true_positive: int
    true_negative: int
    false_positive: int
    false_negative: int


def find_windows(times: Sequence[str], windows: Sequence[Sequence[str]]) -> Labelled:
    """Turn windows given by the times of their edges into row numbers.

    `times` are the rows' `YYYY-MM-DD HH:MM:SS`; edges may carry a fraction. Of equal times the
    first row counts. Raises ValueError when an edge is not the time of a row.
    """
    first: dict[str, int] = {}
    for row, time in enumerate(times):
        first.setdefault(time.partition(".")[0], row)
    edges = [[edge.partition(".")[0] for edge in window] for window in windows]
    missing = [edge for window in edges for edge in window if edge not in first]
    if missing:
        raise ValueError(f"no row has the time {missing[0]}, an edge of a window")
    return Labelled(len(times), tuple((first[left], first[right]) for left, right in edges))


def sigmoid(position: Floats) -> Floats:
    """The value of a detection at a position relative to a window's right edge."""
    value = 2.0 / (1.0 + np.exp(5.0 * np.minimum(position, 3.0))) - 1.0
    return np.where(position > 3.0, -1.0, value)


def value_rows(file: Labelled, profile: Profile) -> tuple[Floats, npt.NDArray[np.int64]]:
    """The value of each row were it a detection, `(rows,)`, and its window or OUTSIDE."""
    value = np.full(file.rows, -profile.false_positive)
    inside = np.full(file.rows, OUTSIDE, dtype=np.int64)
    peak = float(sigmoid(np.array([-1.0]))[0])
    for number, (left, right) in enumerate(file.windows):
        width = right - left + 1
        after = np.arange(right + 1, file.rows)
        value[after] = profile.false_positive * sigmoid((after - right) / max(width - 1, 1))
        rows = np.arange(left, right + 1)
        value[rows] = profile.true_positive * sigmoid(-(right - rows + 1) / width) / peak
        inside[rows] = number
    return value, inside


def raw_score(file: Labelled, scores: Floats, threshold: float, profile: Profile) -> float:
    """The unnormalised score of one file at one threshold."""
    thresholds, gains = gains_of_file(file, scores, profile)
    missed = -profile.false_negative * scored_windows(file)
    return missed + float(gains[thresholds >= threshold].sum())


def scored_windows(file: Labelled) -> int:
    """The number of windows with a row past probation."""
    return sum(right >= file.probation for _, right in file.windows)


def gains_of_file(file: Labelled, scores: Floats, profile: Profile) -> tuple[Floats, Floats]:
    """What each row adds to the raw score as the threshold falls to the row's own score.

    Returns the scores from high to low, `(rows past probation,)`, and the gain of each.
    """
    value, inside = value_rows(file, profile)
    value, inside = value[file.probation :], inside[file.probation :]
    scores = scores[file.probation :]
    order = np.argsort(-scores, kind="stable")
    value, inside, scores = value[order], inside[order], scores[order]
    gains = value.copy()
    for number in range(len(file.windows)):
        rows = np.flatnonzero(inside == number)
        best = np.maximum.accumulate(value[rows])
        gains[rows] = np.diff(best, prepend=-profile.false_negative)
    return scores, gains


def count_rows(file: Labelled, scores: Floats, threshold: float) -> Counts:
    """The rows detected inside and outside the windows, as the benchmark prints them."""
    _, inside = value_rows(file, PROFILES["standard"])
    fired = scores[file.probation :] >= threshold
    hit = inside[file.probation :] != OUTSIDE
    cells = (fired & hit, ~fired & ~hit, fired & ~hit, ~fired & hit)
    return Counts(*(int(cell.sum()) for cell in cells))


def best_threshold(
    files: Sequence[Labelled], scores: Sequence[Floats], profile: Profile
) -> tuple[float, float]:
    """The threshold with the highest raw score over all files, and that raw score.

    It is chosen with the labels in hand, as the benchmark does: an in-sample optimum.
    """
    parts = [gains_of_file(*pair, profile) for pair in zip(files, scores, strict=True)]
    pooled = np.concatenate([thresholds for thresholds, _ in parts])
    gains = np.concatenate([gain for _, gain in parts])
    order = np.argsort(-pooled, kind="stable")
    pooled, total = pooled[order], np.cumsum(gains[order])
    last_of_ties = np.append(pooled[1:] != pooled[:-1], True)
    pooled, total = pooled[last_of_ties], total[last_of_ties]
    nothing = -profile.false_negative * sum(scored_windows(file) for file in files)
    best = int(np.argmax(total))
    if total[best] <= 0.0:
        return 1.1, nothing
    return float(pooled[best]), nothing + float(total[best])


def normalise(raw: float, windows: int, profile: Profile) -> float:
    """Map a raw score to 0 (a detector that never fires) … 100 (perfect)."""
    nothing = -profile.false_negative * windows
    return 100.0 * (raw - nothing) / (profile.true_positive * windows - nothing)
