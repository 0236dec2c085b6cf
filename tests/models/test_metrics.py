import numpy as np
import pytest

from models.metrics import calibration_error, f1, multi_label, single_label


def test_single_label_by_hand() -> None:
    found = single_label(np.array([0, 0, 1, 2]), np.array([0, 1, 1, 1]))
    assert found["accuracy"] == 0.5
    # Class 0: precision 1/2, recall 1; class 1: precision 1, recall 1/3; class 2 never occurs.
    assert found["macro_f1"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert found["unweighted_recall"] == pytest.approx((1 + 1 / 3) / 2)


def test_multi_label_ignores_labels_that_never_occur() -> None:
    predicted = np.array([[True, False, True], [False, True, False]])
    actual = np.array([[True, False, False], [True, True, False]])
    found = multi_label(predicted, actual)
    assert found["macro_f1"] == pytest.approx((2 / 3 + 1) / 2)
    assert found["micro_f1"] == pytest.approx(2 * 2 / (3 + 3))


def test_f1_of_nothing_is_nothing() -> None:
    assert f1(np.zeros(3, bool), np.zeros(3, bool)) == 0.0


def test_calibration_error() -> None:
    sure = np.full(100, 0.8, np.float32)
    assert calibration_error(sure, np.arange(100) < 80) == pytest.approx(0, abs=1e-6)
    assert calibration_error(sure, np.zeros(100, bool)) == pytest.approx(0.8, abs=1e-6)
