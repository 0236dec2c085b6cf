"""Scores of predictions against labels. Arrays in, numbers out.

Where a function takes `weights` `(..., rows)`, row i counts `weights[..., i]` times, and there is
one value for each of the leading places: thousands of resamples are one matrix product
(models/intervals.py). Without weights every row counts once.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Values = npt.NDArray[np.float64]
BINS = 15


def f1(predicted: Bools, actual: Bools) -> float:
    """Harmonic mean of precision and recall of one label; 0 where both are empty."""
    hits = int((predicted & actual).sum())
    total = int(predicted.sum()) + int(actual.sum())
    return 2 * hits / total if total else 0.0


def single_label(predicted: Ints, actual: Ints) -> dict[str, float]:
    """Scores of rows that have one class each: see `choice_scores`."""
    classes = int(max(predicted.max(), actual.max())) + 1
    found = choice_scores(confusion(predicted, actual, classes))
    return {name: float(value) for name, value in found.items()}


def multi_label(predicted: Bools, actual: Bools) -> dict[str, float]:
    """Scores of `(rows, labels)`: see `label_scores`."""
    return {name: float(value) for name, value in label_scores(predicted, actual).items()}


def confusion(predicted: Ints, actual: Ints, classes: int, weights: Floats | None = None) -> Values:
    """How often class i (rows) was taken for class j (columns): `(..., classes, classes)`."""
    cells = np.eye(classes * classes)[actual * classes + predicted]  # (rows, classes²)
    counts = _weights(weights, len(actual)) @ cells
    matrix: Values = counts.reshape(*counts.shape[:-1], classes, classes)
    return matrix


def choice_scores(counts: Values) -> dict[str, Values]:
    """Of a confusion matrix `(..., classes, classes)`: accuracy, and macro scores.

    Precision, recall and F1 are means over the classes that occur.
    """
    hits = np.diagonal(counts, axis1=-2, axis2=-1)  # (..., classes)
    actual = counts.sum(axis=-1)
    precision, recall, harmonic = rates(hits, counts.sum(axis=-2), actual)
    return {
        "accuracy": hits.sum(axis=-1) / actual.sum(axis=-1),
        "macro_f1": _mean_where(harmonic, actual > 0),
        "macro_precision": _mean_where(precision, actual > 0),
        "unweighted_recall": _mean_where(recall, actual > 0),
    }


def label_scores(
    predicted: Bools, actual: Bools, weights: Floats | None = None
) -> dict[str, Values]:
    """Of `(rows, labels)`: micro-F1, share of rows that are right in every label, macro scores.

    Precision, recall and F1 are means over the labels that occur.
    """
    w = _weights(weights, len(actual))
    hits, given, wanted = (w @ part for part in (predicted & actual, predicted, actual))
    precision, recall, harmonic = rates(hits, given, wanted)
    micro = rates(hits.sum(axis=-1), given.sum(axis=-1), wanted.sum(axis=-1))[2]
    return {
        "macro_f1": _mean_where(harmonic, wanted > 0),
        "micro_f1": micro,
        "macro_precision": _mean_where(precision, wanted > 0),
        "macro_recall": _mean_where(recall, wanted > 0),
        "exact_match": w @ (predicted == actual).all(axis=1) / w.sum(axis=-1),
    }


def rates(
    hits: Values,
    predicted: Values,
    actual: Values,
) -> tuple[Values, Values, Values]:
    """Precision, recall and F1 of counts, elementwise; 0 where there is nothing to divide by."""
    return (
        hits / np.maximum(predicted, 1e-12),
        hits / np.maximum(actual, 1e-12),
        2 * hits / np.maximum(predicted + actual, 1e-12),
    )


def average_precision(scores: Floats, actual: Bools, weights: Floats | None = None) -> Values:
    """Area under the precision-recall curve, by steps (no interpolation); NaN without positives.

    Rows of equal score are passed together, as one threshold does.
    """
    order = np.argsort(-scores, kind="stable")
    w = _weights(weights, len(actual))[..., order]
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    hits = np.cumsum(w * actual[order], axis=-1)[..., ends]
    passed = np.cumsum(w, axis=-1)[..., ends]
    gained = np.diff(hits, axis=-1, prepend=0.0)
    positives = hits[..., -1]
    area = (gained * hits / np.maximum(passed, 1e-12)).sum(axis=-1)
    return np.where(positives > 0, area / np.maximum(positives, 1e-12), np.nan)


def macro_average_precision(scores: Floats, actual: Bools, weights: Floats | None = None) -> Values:
    """Mean of `average_precision` over the columns of `(rows, labels)` that occur."""
    each = [average_precision(s, a, weights) for s, a in zip(scores.T, actual.T, strict=True)]
    stacked = np.stack(each, axis=-1)
    return _mean_where(np.nan_to_num(stacked), ~np.isnan(stacked))


def calibration_error(confidence: Floats, correct: npt.NDArray[np.generic]) -> float:
    """`expected_calibration_error` of every row once."""
    return float(expected_calibration_error(confidence, correct))


def expected_calibration_error(
    confidence: Floats, correct: npt.NDArray[np.generic], weights: Floats | None = None
) -> Values:
    """Mean distance of confidence from the share of correct, over 15 bins of equal width.

    Naeini et al. 2015. `confidence` and `correct` are `(rows,)`; the latter true or false, or
    the share of raters who agree.
    """
    w = _weights(weights, len(confidence))
    inside = np.eye(BINS)[_bins(confidence)]  # (rows, bins)
    gaps = w @ (inside * (confidence - correct.astype(float))[:, None])
    error: Values = np.abs(gaps).sum(axis=-1) / w.sum(axis=-1)
    return error


def chance_calibration_error(confidence: Floats, draws: int = 200, seed: int = 0) -> float:
    """What `calibration_error` would be on average, were each of these confidences `(rows,)` the
    probability of being right: chance alone leaves a distance, the more the fewer the rows."""
    right = np.random.default_rng(seed).random((draws, len(confidence))) < confidence
    gaps = (confidence - right) @ np.eye(BINS)[_bins(confidence)]  # (draws, bins)
    return float(np.abs(gaps).sum(axis=1).mean()) / len(confidence)


def reliability(
    confidence: Floats, correct: npt.NDArray[np.generic]
) -> list[tuple[float, float, int]]:
    """The diagram's points, one a bin that holds rows: mean confidence, share correct, rows."""
    places = _bins(confidence)
    return [
        (float(confidence[here].mean()), float(correct[here].mean()), int(here.sum()))
        for here in (places == i for i in np.unique(places))
    ]


def risk_coverage(confidence: Floats, wrong: Bools) -> tuple[Floats, Floats]:
    """Coverage and risk `(rows,)` each when the surest 1, 2, … rows are answered.

    Risk is the share of wrong answers among those given (El-Yaniv & Wiener 2010).
    """
    order = np.argsort(-confidence, kind="stable")
    answered = np.arange(1, len(order) + 1)
    return answered / len(order), np.cumsum(wrong[order]) / answered


def risk_coverage_area(confidence: Floats, wrong: Bools, weights: Floats | None = None) -> Values:
    """Mean risk over all coverages; lower is better (Geifman et al. 2019)."""
    order = np.argsort(-confidence, kind="stable")
    w = _weights(weights, len(wrong))[..., order]
    risk = np.cumsum(w * wrong[order], axis=-1) / np.maximum(np.cumsum(w, axis=-1), 1e-12)
    area: Values = (w * risk).sum(axis=-1) / w.sum(axis=-1)
    return area


def _bins(confidence: Floats) -> Ints:
    places: Ints = np.clip((confidence * BINS).astype(int), 0, BINS - 1)
    return places


def _weights(weights: Floats | None, rows: int) -> Values:
    return np.ones(rows) if weights is None else np.asarray(weights, dtype=np.float64)


def _mean_where(values: Values, where: npt.NDArray[np.bool_]) -> Values:
    mean: Values = (values * where).sum(axis=-1) / np.maximum(where.sum(axis=-1), 1)
    return mean
