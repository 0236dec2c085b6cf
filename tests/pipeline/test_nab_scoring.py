"""The scorer against published figures, and against the rules counted out by hand."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.nab.corpus import default_folder, read_corpus
from benchmarks.nab.scoring import (
    PROFILES,
    Counts,
    Labelled,
    best_threshold,
    count_rows,
    find_windows,
    normalise,
    raw_score,
    scored_windows,
)

STANDARD = PROFILES["standard"]
FOLDER = default_folder()
needs_corpus = pytest.mark.skipif(
    not (FOLDER / "data").is_dir(),
    reason="the corpus of the benchmark is not beside the repository",
)
ORACLE = {
    "AAPL": (1.513996836256583, Counts(42, 13540, 24, 1546)),
    "KO": (-0.914196106944424, Counts(22, 13481, 33, 1565)),
    "CVS": (0.77368206139354, Counts(22, 13559, 18, 1504)),
}


@needs_corpus
@pytest.mark.parametrize("symbol", ORACLE)
def test_published_scores_are_reproduced(symbol: str) -> None:
    name = f"Twitter_volume_{symbol}.csv"
    labels = {series.name: series.labels for series in read_corpus(FOLDER)}[f"realTweets/{name}"]
    with (FOLDER / "results" / "per_row" / f"windowedGaussian_{name}").open(newline="") as lines:
        scores = np.array([float(row["anomaly_score"]) for row in csv.DictReader(lines)])
    raw, counts = ORACLE[symbol]
    assert raw_score(labels, scores, 1.0, STANDARD) == pytest.approx(raw, abs=1e-12)
    assert count_rows(labels, scores, 1.0) == counts


@needs_corpus
def test_a_silent_detector_scores_0_and_a_prophet_100() -> None:
    corpus = read_corpus(FOLDER)
    windows = sum(len(series.labels.windows) for series in corpus)
    assert (len(corpus), windows) == (17, 52)
    prophet = silent = 0.0
    for series in corpus:
        scores = np.zeros(len(series.values))
        silent += raw_score(series.labels, scores, 0.5, STANDARD)
        scores[[left for left, _ in series.labels.windows]] = 1.0
        prophet += raw_score(series.labels, scores, 0.5, STANDARD)
    assert normalise(silent, windows, STANDARD) == 0.0
    assert normalise(prophet, windows, STANDARD) == pytest.approx(100.0)


def test_a_window_counts_its_earliest_detection_and_false_rows_each() -> None:
    labels = Labelled(100, ((40, 59),))
    scores = np.zeros(100)
    scores[[45, 50, 55]] = 1.0
    once = raw_score(labels, scores, 0.5, STANDARD)
    sigmoid = 2 / (1 + np.exp(5 * -(59 - 45 + 1) / 20)) - 1
    assert once == pytest.approx(sigmoid / (2 / (1 + np.exp(-5)) - 1))
    scores[[20, 21]] = 1.0
    assert raw_score(labels, scores, 0.5, STANDARD) == pytest.approx(once - 0.22)
    scores[5] = 1.0
    assert labels.probation == 15
    assert raw_score(labels, scores, 0.5, STANDARD) == pytest.approx(once - 0.22)


def test_a_false_row_just_behind_a_window_costs_less_than_one_far_behind() -> None:
    labels = Labelled(200, ((40, 59),))
    costs = []
    for row in (60, 70, 150):
        scores = np.zeros(200)
        scores[row] = 1.0
        costs.append(-1.0 - raw_score(labels, scores, 0.5, STANDARD))
    assert costs[0] < costs[1] < costs[2] == pytest.approx(0.11)


def test_of_equal_times_the_first_is_the_edge() -> None:
    times = ["2026-01-01 00:00:00", "2026-01-01 00:05:00", "2026-01-01 00:05:00"]
    window = [["2026-01-01 00:00:00.000000", "2026-01-01 00:05:00.000000"]]
    assert find_windows(times, window).windows == ((0, 1),)
    with pytest.raises(ValueError, match="00:07:00"):
        find_windows(times, [["2026-01-01 00:00:00.000000", "2026-01-01 00:07:00.000000"]])


@given(st.integers(0, 2**32 - 1))
def test_the_best_threshold_is_the_best_of_all(seed: int) -> None:
    random = np.random.default_rng(seed)
    files = [Labelled(60, ((20, 29), (40, 44))), Labelled(40, ())]
    scores = [np.round(random.random(file.rows), 1) for file in files]
    threshold, raw = best_threshold(files, scores, STANDARD)

    def total(at: float) -> float:
        return sum(raw_score(*pair, at, STANDARD) for pair in zip(files, scores, strict=True))

    assert raw == pytest.approx(max(total(at) for at in (*np.arange(0, 1.05, 0.1).round(1), 1.1)))
    assert total(threshold) == pytest.approx(raw)
    assert sum(scored_windows(file) for file in files) == 2
