"""The linear model of n-grams beside the text tower: fitted in seconds once the fusion is done."""

import numpy as np

from models.corpora import Rows
from models.errors import ModelError
from models.labels import EMOTIONS
from models.ngrams import Floats, Ngrams, hashed
from models.preprocess.text import normalise
from models.training import calibration
from models.training.recipe import NgramRecipe

WEIGHTS = np.linspace(0, 1, 21)
FEW = 10  # positives, or negatives, of an emotion under which nothing is said of it


def fit(rows: Rows, recipe: NgramRecipe) -> Ngrams:
    """One logistic regression an emotion over the rows that annotate it.

    Evidence is what the n-grams add: the log-odds less those of the emotion among the rows. Raises
    ModelError where scikit-learn is missing.
    """
    try:
        from scipy.sparse import csr_array
        from sklearn.linear_model import LogisticRegression
    except ImportError as error:
        raise ModelError("n-grams need scikit-learn: pip install scikit-learn") from error
    ids, owners = hashed(plain(rows), recipe.shape)
    counts = np.bincount(owners, minlength=len(rows))
    size = (len(rows), 1 << recipe.shape.bits)
    places = (owners.astype(np.int32), ids.astype(np.int32))  # wider ones liblinear does not take
    cells = csr_array((1 / np.sqrt(counts[owners]), places), shape=size)
    weights = np.zeros((size[1], len(EMOTIONS)), np.float32)
    bias = np.zeros(len(EMOTIONS), np.float32)
    for column in range(len(EMOTIONS)):
        known = np.flatnonzero(~np.isnan(rows.emotions[:, column]) & (counts > 0))
        labels = rows.emotions[known, column] > 0.5
        if min(labels.sum(), (~labels).sum()) < FEW:
            continue
        share = np.average(labels, weights=rows.weight[known])
        model = LogisticRegression(C=recipe.strength, solver="liblinear", tol=1e-3)
        model.fit(cells[known], labels, sample_weight=rows.weight[known])
        weights[:, column] = model.coef_[0]
        bias[column] = model.intercept_[0] - np.log(share / (1 - share))
    return Ngrams(recipe.shape, weights, bias)


def weighed(ngrams: Ngrams, emotions: Floats, rows: Rows) -> Ngrams:
    """The same, times the weight with which the evidence explains held-out `rows` best.

    `emotions` `(rows, 7)`: logits of the model without it. Each weight is judged at its own best
    temperature and biases, on the rows that have evidence: what is learnt by heart earns none.
    """
    said = ngrams.evidence(plain(rows))
    spoken = np.flatnonzero(said.any(axis=1))
    if not len(spoken):
        return scaled(ngrams, 0.0)
    some, logits = rows.take(spoken), emotions[spoken]
    misfits = [
        calibration.fit(logits + np.float32(weight) * said[spoken], some).misfit
        for weight in WEIGHTS
    ]
    return scaled(ngrams, float(WEIGHTS[int(np.argmin(misfits))]))


def divisor(said: Floats, emotions: Floats, rows: Rows) -> float:
    """What the logits of texts with evidence are divided by, so that the temperature of all texts
    without any is theirs too: nothing changes for texts that have none."""
    spoken = np.flatnonzero(said.any(axis=1))
    if not len(spoken):
        return 1.0
    some = rows.take(spoken)
    own = calibration.fit(emotions[spoken] + said[spoken], some)
    return round(own.divisor / calibration.fit(emotions, rows).divisor, 4)


def scaled(ngrams: Ngrams, weight: float) -> Ngrams:
    """The same with all its evidence times `weight`, in the precision in which it is stored."""
    parts = (ngrams.weights, ngrams.bias)
    halves = [(weight * part).astype(np.float16).astype(np.float32) for part in parts]
    return Ngrams(ngrams.config, *halves)


def plain(rows: Rows) -> list[str]:
    """The texts of rows as the model reads them, "" where there is none."""
    return [normalise(text) if text else "" for text in rows.texts]
