"""Scores of a release on a split, corpus by corpus, through the very path that production takes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models.corpora import Rows, read_split
from models.errors import ItemError
from models.labels import EMOTIONS
from models.metrics import calibration_error, multi_label, single_label
from models.prediction import Prediction
from models.predictor import Predictor
from models.prepare import Item, Prepared, Preparer

CHUNK = 512  # rows prepared at a time


def evaluate(
    release: Path, data: Path, split: str = "dev", corpora: Sequence[str] | None = None
) -> dict[str, dict[str, float]]:
    """Score a release on `<data>/*/<split>.parquet`, or on these `corpora` of them.

    Returns `{corpus: {"rows": n, score: value}}`. Emotions: corpora with one label a row give
    `accuracy`, `macro_f1` and `unweighted_recall` of the likeliest annotated emotion; those with
    several give `macro_f1` and `micro_f1` of the labels that pass the shipped thresholds.
    Annotated polarity gives `polarity_accuracy`, `polarity_macro_f1` and
    `polarity_calibration_error`. Corpora without either are left out.
    """
    predictor, preparer = Predictor.load(release), Preparer.load(release)
    scores: dict[str, dict[str, float]] = {}
    for path in sorted(data.glob(f"*/{split}.parquet")):
        if corpora is not None and path.parent.name not in corpora:
            continue
        rows = read_split(data, path.parent.name, split)
        polarity = rows.polarity_weight == 1.0
        if np.isnan(rows.emotions).all() and not polarity.any():
            continue
        scores[path.parent.name] = score_rows(rows, predictor, preparer)
    return scores


def score_rows(rows: Rows, predictor: Predictor, preparer: Preparer) -> dict[str, float]:
    """Scores of one corpus; a row that cannot be read counts as an `error`."""
    answers = predict_rows(rows, predictor, preparer)
    good = np.array([i for i, answer in enumerate(answers) if isinstance(answer, Prediction)])
    kept = [answer for answer in answers if isinstance(answer, Prediction)]
    rows = rows.take(good)
    result = {"rows": float(len(answers)), "errors": float(len(answers) - len(kept))}
    emotions = np.stack([answer.emotions for answer in kept])
    result |= emotion_scores(rows, emotions, kept)
    annotated = np.flatnonzero((rows.polarity_weight == 1.0) & ~np.isnan(rows.polarity[:, 0]))
    if len(annotated):
        polarity = np.stack([kept[i].polarity for i in annotated])
        actual = rows.polarity[annotated].argmax(axis=1)
        found = single_label(polarity.argmax(axis=1), actual)
        result["polarity_accuracy"] = found["accuracy"]
        result["polarity_macro_f1"] = found["macro_f1"]
        result["polarity_calibration_error"] = calibration_error(
            polarity.max(axis=1), polarity.argmax(axis=1) == actual
        )
    return result


def emotion_scores(
    rows: Rows, emotions: npt.NDArray[np.float32], answers: list[Prediction]
) -> dict[str, float]:
    """Emotion scores of rows that share their annotation; nothing where there is none."""
    annotated = np.flatnonzero(~np.isnan(rows.emotions).all(axis=1))
    if not len(annotated):
        return {}
    columns = np.flatnonzero(~np.isnan(rows.emotions[annotated]).any(axis=0))
    actual = rows.emotions[np.ix_(annotated, columns)]
    if is_single_label(actual):
        guess = emotions[np.ix_(annotated, columns)].argmax(axis=1)
        return single_label(guess, actual.argmax(axis=1))
    names = [EMOTIONS[i] for i in columns]
    passed = np.array([[name in answers[i].labels for name in names] for i in annotated])
    return multi_label(passed, actual > 0.5)


def is_single_label(emotions: npt.NDArray[np.float32]) -> bool:
    """Whether each row of `(rows, labels)` has at most one label, or shares that sum to one."""
    return bool((emotions.sum(axis=1) < 1 + 1e-3).all())


def predict_rows(
    rows: Rows, predictor: Predictor, preparer: Preparer
) -> list[Prediction | ItemError]:
    """One answer a row, in order."""
    answers: list[Prediction | ItemError] = []
    for start in range(0, len(rows), CHUNK):
        part = range(start, min(start + CHUNK, len(rows)))
        items = [Item(rows.texts[i], rows.images[i], rows.audios[i]) for i in part]
        prepared = preparer.prepare(items)
        readable = [item for item in prepared if isinstance(item, Prepared)]
        scored = iter(predictor.predict(readable))
        answers += [item if isinstance(item, ItemError) else next(scored) for item in prepared]
    return answers
