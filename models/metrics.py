"""Scores of predictions against labels. Arrays in, numbers out."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


def f1(predicted: Bools, actual: Bools) -> float:
    """Harmonic mean of precision and recall of one label; 0 where both are empty."""
    hits = int((predicted & actual).sum())
    total = int(predicted.sum()) + int(actual.sum())
    return 2 * hits / total if total else 0.0


def single_label(predicted: Ints, actual: Ints) -> dict[str, float]:
    """Accuracy, macro-F1 and unweighted recall over the classes that occur in `actual`."""
    classes = np.unique(actual)
    recalls = [float((predicted[actual == name] == name).mean()) for name in classes]
    return {
        "accuracy": float((predicted == actual).mean()),
        "macro_f1": float(np.mean([f1(predicted == name, actual == name) for name in classes])),
        "unweighted_recall": float(np.mean(recalls)),
    }


def multi_label(predicted: Bools, actual: Bools) -> dict[str, float]:
    """Macro-F1 over the columns of `(rows, labels)` that occur in `actual`, and micro-F1."""
    used = np.flatnonzero(actual.any(axis=0))
    return {
        "macro_f1": float(np.mean([f1(predicted[:, i], actual[:, i]) for i in used])),
        "micro_f1": f1(predicted, actual),
    }


def calibration_error(confidence: Floats, correct: Bools, bins: int = 15) -> float:
    """Expected calibration error over bins of equal width (Naeini et al. 2015)."""
    places = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [
        abs(float(confidence[places == i].mean()) - float(correct[places == i].mean()))
        * float((places == i).mean())
        for i in np.unique(places)
    ]
    return float(sum(gaps))
