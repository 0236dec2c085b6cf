"""What is chosen after training on held-out rows: temperatures, thresholds, abstention."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from models.corpora import Rows, majority
from models.fused import weighed
from models.fusion import Fusion
from models.labels import EMOTIONS, MODALITIES
from models.metrics import Bools, f1
from models.prediction import sigmoid, softmax
from models.release import Calibration, Temperature, subset_key
from models.training.features import Features
from models.training.fusion_stage import Samples

Floats = npt.NDArray[np.float32]
Losses = npt.NDArray[np.float64]
GRID = np.geomspace(0.4, 4.0, 61)
THRESHOLDS = np.linspace(0.1, 0.7, 61)
SPREAD = 0.5  # of the logarithm of a temperature: two models in three need 0.6 to 1.65
HEARD = 100  # rows of a corpus that have a say, at most: no large one drowns the others
ALIKE = 0.1  # correlation of what a model gets wrong within a group, such as a speaker
SMOOTHED = 15  # thresholds, so that a lucky step of one small corpus does not decide
FEW = 10  # positives under which a corpus has no say in a threshold
COVERAGE = 0.9  # share of held-out rows that are answered
TEXT = MODALITIES.index("text")
SUBSETS = ((0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2))


@dataclass(frozen=True, slots=True)
class Evidence:
    """What n-grams say of rows, `(rows, 7)`, and the divisor of the logits that it is added to."""

    said: Floats
    divisor: float


def calibrate(
    fusion: Fusion,
    rows: Rows,
    features: Features,
    samples: Samples,
    multi: list[str],
    *,
    distracted: Samples,
    evidence: Evidence | None = None,
) -> Calibration:
    """Choose everything on held-out `samples` of `rows`.

    `distracted` are more of them, labelled by their text alone: they tell nothing about subsets
    without it. `multi` names the corpora with several labels a row, on which the thresholds are
    chosen. `evidence`: what n-grams say of the texts of `rows`.
    """
    temperatures: dict[str, Temperature] = {}
    for subset in SUBSETS:
        usable = np.concatenate([samples, distracted]) if TEXT in subset else samples
        chosen = usable[(usable[:, subset] >= 0).all(axis=1)].copy()
        if len(subset) == 1:
            # A composite repeats a voice or a picture under the name of another corpus.
            chosen = chosen[chosen[:, subset[0]] == chosen[:, 3]]
        if len(chosen) < FEW:
            continue
        chosen[:, [c for c in range(3) if c not in subset]] = -1
        emotions, polarity = logits(fusion, features, chosen, evidence)
        key = subset_key(tuple(MODALITIES[column] for column in subset))
        temperatures[key] = temperature(emotions, polarity, rows.take(chosen[:, 3]))
    own = samples[samples[:, 0] == samples[:, 3]].copy()
    own[:, 1:3] = -1
    text_rows = rows.take(own[:, 3])
    emotions, _ = logits(fusion, features, own, evidence)
    divisor = temperatures.get("text", Temperature()).emotions
    probabilities = sigmoid(emotions / np.float32(divisor))
    confidence = probabilities.max(axis=1)
    return Calibration(
        temperatures,
        evidence.divisor if evidence else 1.0,
        thresholds(probabilities, text_rows, multi),
        round(float(np.quantile(confidence, 1 - COVERAGE)), 4) if len(confidence) else 0.0,
    )


@torch.inference_mode()
def logits(
    fusion: Fusion, features: Features, samples: Samples, evidence: Evidence | None = None
) -> tuple[Floats, Floats]:
    """Emotion `(samples, 7)` and polarity `(samples, 3)` logits."""
    pooled = features.gather(samples[:, :3]).to(fusion.summary.device)
    emotions, polarity = fusion(pooled.vectors, pooled.present)
    if evidence is not None:
        said = torch.from_numpy(evidence.said[samples[:, TEXT]]).to(emotions)
        emotions = weighed(emotions, said, pooled.present, evidence.divisor)
    return emotions.cpu().numpy(), polarity.cpu().numpy()


def temperature(emotions: Floats, polarity: Floats, rows: Rows) -> Temperature:
    """The divisors of the logits that `likeliest` chooses on a grid; 1 without any label.

    Of the shares of raters the largest counts, as when a model is judged: a confidence is the
    probability of being right, and not the share of those who would agree. A polarity that follows
    from emotions has a say where none is annotated.
    """
    target = np.nan_to_num(rows.polarity)

    def polarity_loss(divisor: float) -> Losses:
        p = np.clip(softmax(polarity / np.float32(divisor)), 1e-6, 1)
        found: Losses = -(target * np.log(p)).sum(axis=1)
        return found

    graded: Bools = ~np.isnan(rows.polarity[:, 0])
    annotated: Bools = np.asarray(graded & (rows.polarity_weight == 1.0))
    graded = annotated if annotated.any() else graded
    return Temperature(
        likeliest(emotion_loss(emotions, rows), rows, labelled(rows)),
        likeliest(polarity_loss, rows, graded),
    )


def misfit(emotions: Floats, rows: Rows) -> float:
    """How badly logits `(rows, 7)` explain the emotions of `rows` at the best divisor for them."""
    return float(misfits(emotion_loss(emotions, rows), rows, labelled(rows)).min())


def labelled(rows: Rows) -> Bools:
    """Which rows annotate emotions, `(rows,)`."""
    return np.asarray(~np.isnan(rows.emotions).all(axis=1))


def emotion_loss(emotions: Floats, rows: Rows) -> Callable[[float], Losses]:
    """The negative log-likelihood of each row by the divisor of its logits `(rows, 7)`."""
    known = ~np.isnan(rows.emotions)
    wanted = majority(rows.emotions)

    def loss(divisor: float) -> Losses:
        p = np.clip(sigmoid(emotions / np.float32(divisor)), 1e-6, 1 - 1e-6)
        each = wanted * np.log(p) + (1 - wanted) * np.log(1 - p)
        found: Losses = -(each * known).sum(axis=1)
        return found

    return loss


def likeliest(loss: Callable[[float], Losses], rows: Rows, chosen: Bools) -> float:
    """The divisor of `GRID` with the least misfit; 1 where nothing is chosen."""
    if not chosen.any():
        return 1.0
    return round(float(GRID[int(misfits(loss, rows, chosen).argmin())]), 4)


def misfits(loss: Callable[[float], Losses], rows: Rows, chosen: Bools) -> Losses:
    """Negative log-likelihood and prior of each divisor of `GRID`, `(divisors,)`: a few speakers
    are little reason for doubt.

    `loss` gives a negative log-likelihood a row, of which the `chosen` count. The prior is normal
    in the logarithm, `SPREAD` around 1. Rows of one group err alike and count for fewer. A subset
    of modalities must be calibrated on tweets and on film dialogue: no corpus counts for more than
    `HEARD` rows.
    """
    total: Losses = np.log(GRID) ** 2 / (2 * SPREAD**2)
    losses = np.stack([loss(divisor)[chosen] for divisor in GRID])  # (divisors, rows)
    corpus = rows.corpus[chosen]
    groups = np.array([rows.groups[row] for row in np.flatnonzero(chosen)], dtype=object)
    for name in np.unique(corpus):
        here = corpus == name
        total += min(effective_rows(groups[here]), HEARD) * losses[:, here].mean(axis=1)
    return total


def effective_rows(groups: Sequence[str | None]) -> float:
    """How many independent rows say as much as these (Kish 1965, the design effect)."""
    sizes = Counter(group for group in groups if group is not None)
    alone = len(groups) - sizes.total()
    return alone + sum(size / (1 + (size - 1) * ALIKE) for size in sizes.values())


def thresholds(probabilities: Floats, rows: Rows, corpora: list[str]) -> dict[str, float]:
    """For each emotion the threshold with the best F1 on average over `corpora`, each counting by
    its positives: the curve of a few is luck.

    F1 is the mean of what is observed and of what calibrated probabilities let expect (Lipton et
    al. 2014): the former alone follows the luck of a few dozen positives.
    """
    chosen: dict[str, float] = {}
    for column, name in enumerate(EMOTIONS):
        curves, positives = [], []
        for corpus in corpora:
            here = (rows.corpus == corpus) & ~np.isnan(rows.emotions[:, column])
            actual = rows.emotions[here, column] > 0.5
            if actual.sum() >= FEW:
                p = probabilities[here, column]
                passed = [p >= threshold for threshold in THRESHOLDS]
                curves.append([f1(each, actual) + expected_f1(p, each) for each in passed])
                positives.append(int(actual.sum()))
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
