import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from models.metrics import (
    average_precision,
    calibration_error,
    chance_calibration_error,
    choice_scores,
    confusion,
    expected_calibration_error,
    f1,
    label_scores,
    macro_average_precision,
    multi_label,
    reliability,
    risk_coverage,
    risk_coverage_area,
    single_label,
)


def test_single_label_by_hand() -> None:
    found = single_label(np.array([0, 0, 1, 2]), np.array([0, 1, 1, 1]))
    assert found["accuracy"] == 0.5
    # Class 0: precision 1/2, recall 1; class 1: precision 1, recall 1/3; class 2 never occurs.
    assert found["macro_f1"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert found["unweighted_recall"] == pytest.approx((1 + 1 / 3) / 2)
    assert found["macro_precision"] == pytest.approx((1 / 2 + 1) / 2)


def test_multi_label_ignores_labels_that_never_occur() -> None:
    predicted = np.array([[True, False, True], [False, True, False]])
    actual = np.array([[True, False, False], [True, True, False]])
    found = multi_label(predicted, actual)
    assert found["macro_f1"] == pytest.approx((2 / 3 + 1) / 2)
    assert found["micro_f1"] == pytest.approx(2 * 2 / (3 + 3))
    assert found["macro_recall"] == pytest.approx((1 / 2 + 1) / 2)
    assert found["exact_match"] == 0.0


def test_f1_of_nothing_is_nothing() -> None:
    assert f1(np.zeros(3, bool), np.zeros(3, bool)) == 0.0


def test_confusion_counts_actual_down_and_predicted_across() -> None:
    counts = confusion(np.array([1, 1, 0]), np.array([0, 1, 1]), 2)
    assert counts.tolist() == [[0, 1], [1, 1]]


def test_calibration_error() -> None:
    sure = np.full(100, 0.8, np.float32)
    assert calibration_error(sure, np.arange(100) < 80) == pytest.approx(0, abs=1e-6)
    assert calibration_error(sure, np.zeros(100, bool)) == pytest.approx(0.8, abs=1e-6)


def test_what_chance_makes_of_few_rows() -> None:
    few, many = np.full(100, 0.8), np.full(10_000, 0.8)
    expected = (2 / np.pi * 0.8 * 0.2 / 100) ** 0.5  # the mean absolute deviation of a share
    assert chance_calibration_error(few) == pytest.approx(expected, rel=0.15)
    assert chance_calibration_error(many) < chance_calibration_error(few) / 5
    assert chance_calibration_error(np.ones(10)) == 0


def test_reliability_is_what_the_error_is_made_of() -> None:
    generator = np.random.default_rng(0)
    confidence, correct = generator.random(500), generator.random(500) < 0.4
    points = reliability(confidence, correct)
    assert sum(rows for *_, rows in points) == 500
    error = sum(abs(said - right) * rows for said, right, rows in points) / 500
    assert error == pytest.approx(calibration_error(confidence, correct))


@pytest.mark.parametrize("digits", [1, 8])
def test_average_precision_as_scikit_learn_has_it(digits: int) -> None:
    """With one digit, many scores are equal."""
    generator = np.random.default_rng(1)
    actual = generator.random(300) < 0.2
    scores = (generator.random(300) + 0.3 * actual).round(digits)
    expected = average_precision_score(actual, scores)
    assert float(average_precision(scores, actual)) == pytest.approx(expected)


def test_average_precision_of_a_label_that_never_occurs() -> None:
    scores, actual = np.random.default_rng(0).random((9, 2)), np.zeros((9, 2), bool)
    assert np.isnan(average_precision(scores[:, 0], actual[:, 0]))
    actual[3, 1] = True
    alone = average_precision(scores[:, 1], actual[:, 1])
    assert macro_average_precision(scores, actual) == pytest.approx(alone)


def test_risk_and_coverage_by_hand() -> None:
    confidence = np.array([0.2, 0.9, 0.6, 0.4])
    wrong = np.array([True, False, True, False])
    coverage, risk = risk_coverage(confidence, wrong)
    assert coverage.tolist() == [0.25, 0.5, 0.75, 1.0]
    assert risk.tolist() == pytest.approx([0, 1 / 2, 1 / 3, 2 / 4])
    area = risk_coverage_area(confidence, wrong)
    assert float(area) == pytest.approx((0 + 1 / 2 + 1 / 3 + 2 / 4) / 4)


def test_a_weight_counts_a_row_so_many_times() -> None:
    generator = np.random.default_rng(2)
    rows, labels = 60, 4
    times = generator.integers(0, 4, (3, rows))
    weights = times.astype(np.float64)
    chances = generator.random((rows, labels))
    marks, passed = generator.random((2, rows, labels)) < 0.4
    guess, truth = generator.integers(0, labels, (2, rows))
    right = generator.random(rows) < 0.6
    whole = {
        "choice": choice_scores(confusion(guess, truth, labels, weights)),
        "labels": label_scores(passed, marks, weights),
        "rest": {
            "pr_auc": macro_average_precision(chances, marks, weights),
            "ece": expected_calibration_error(chances[:, 0], right, weights),
        },
    }
    for place, count in enumerate(times):
        many = np.repeat(np.arange(rows), count)
        alone = {
            "choice": single_label(guess[many], truth[many]),
            "labels": multi_label(passed[many], marks[many]),
            "rest": {
                "pr_auc": float(macro_average_precision(chances[many], marks[many])),
                "ece": calibration_error(chances[many, 0], right[many]),
            },
        }
        for part, values in whole.items():
            for name, value in values.items():
                assert value[place] == pytest.approx(alone[part][name]), name
