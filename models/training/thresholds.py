"""From which probability on an emotion is given as a label."""

import numpy as np
import numpy.typing as npt

from models.corpora import Rows, derived
from models.labels import EMOTIONS
from models.metrics import Bools

Floats = npt.NDArray[np.float32]
THRESHOLDS = np.linspace(0.1, 0.7, 61)
SMOOTHED = 15  # thresholds, so that a step of one small corpus does not decide
FEW = 10  # positives under which a corpus has no say


def thresholds(probabilities: Floats, rows: Rows, corpora: list[str]) -> dict[str, float]:
    """For each emotion the threshold with the best F1 that calibrated probabilities let expect
    (Lipton et al. 2014), on average over `corpora`, each counting by its positives.

    What is observed on a few dozen positives is luck. A corpus has no say where it does not give
    the label itself.
    """
    chosen: dict[str, float] = {}
    for column, name in enumerate(EMOTIONS):
        curves, positives = [], []
        for corpus in corpora:
            here = np.flatnonzero(rows.corpus == corpus)
            here = here[~np.isnan(rows.emotions[here, column])]
            count = int((rows.emotions[here, column] > 0.5).sum())
            if count >= FEW and not derived(rows.take(here), [name])[0]:
                p = probabilities[here, column]
                curves.append([expected_f1(p, p >= threshold) for threshold in THRESHOLDS])
                positives.append(count)
        near_half = -np.abs(THRESHOLDS - 0.5)
        mean = np.average(curves, axis=0, weights=positives) if curves else near_half
        padded = np.pad(mean, SMOOTHED // 2, mode="edge")
        smooth = np.convolve(padded, np.ones(SMOOTHED) / SMOOTHED, mode="valid")
        chosen[name] = round(float(THRESHOLDS[int(smooth.argmax())]), 4)
    return chosen


def expected_f1(probabilities: Floats, passed: Bools) -> float:
    """F1 of `passed`, were each `(rows,)` a positive with its probability."""
    size = float(passed.sum() + probabilities.sum())
    return 2 * float(probabilities[passed].sum()) / size if size else 0.0
