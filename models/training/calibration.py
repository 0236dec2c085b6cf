"""What held-out rows choose after training: temperatures, biases and when to abstain."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt
import torch

from models.corpora import Rows, majority
from models.fused import weighed
from models.fusion import Fusion
from models.labels import EMOTIONS, MODALITIES
from models.metrics import Bools
from models.prediction import emotion_probabilities, sigmoid, softmax
from models.release import Bias, Calibration, Temperature, subset_key
from models.training.features import Features
from models.training.fusion_stage import Samples
from models.training.thresholds import thresholds

Floats = npt.NDArray[np.float32]
Losses = npt.NDArray[np.float64]
GRID = np.geomspace(0.4, 4.0, 61)
SPREAD = 1.0  # of the logarithm of a temperature: two models in three need 0.37 to 2.7
DOUBT = np.log(GRID) ** 2 / (2 * SPREAD**2)  # the prior, normal around 1, of each of the grid
NO_BIAS = Temperature().bias
SHIFT = 0.5  # of a bias, in log-odds
STEPS = 10  # of Newton's method, which needs four or five
HEARD = 100  # rows of a corpus that have a say, at most: no large one drowns the others
ALIKE = 0.1  # correlation of what a model gets wrong within a group, such as a speaker
FEW = 10  # samples under which a subset has no temperature
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
        chosen = read_by(usable, subset)
        if len(chosen) < FEW:
            continue
        emotions, polarity = logits(fusion, features, chosen, evidence)
        first = temperatures.get(MODALITIES[subset[0]]) if len(subset) > 1 else None
        temperatures[subset_key(tuple(MODALITIES[column] for column in subset))] = temperature(
            emotions, polarity, rows.take(chosen[:, 3]), first.bias if first else None
        )
    own = read_by(samples, (TEXT,))
    text_rows = rows.take(own[:, 3])
    emotions, _ = logits(fusion, features, own, evidence)
    probabilities = emotion_probabilities(emotions, temperatures.get("text", Temperature()))
    confidence = probabilities.max(axis=1)
    return Calibration(
        temperatures,
        evidence.divisor if evidence else 1.0,
        thresholds(probabilities, text_rows, multi),
        round(float(np.quantile(confidence, 1 - COVERAGE)), 4) if len(confidence) else 0.0,
    )


def read_by(samples: Samples, subset: tuple[int, ...]) -> Samples:
    """The samples that have these modalities, read by them alone.

    By one modality each row once: a composite repeats it, under the name of another corpus too.
    """
    chosen = samples[(samples[:, subset] >= 0).all(axis=1)].copy()
    chosen[:, [column for column in range(3) if column not in subset]] = -1
    if len(subset) == 1:
        chosen = np.unique(chosen[chosen[:, subset[0]] == chosen[:, 3]], axis=0)
    return chosen


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


def temperature(
    emotions: Floats, polarity: Floats, rows: Rows, bias: Bias | None = None
) -> Temperature:
    """The likeliest divisors of the logits and, where `bias` is not given, the likeliest biases of
    the emotions; 1 and 0 without any label.

    A divisor alone draws every probability towards a half: rare emotions would be too likely.
    Composites draw the emotions evenly and say nothing of how rare they are: for the subsets that
    only they show, `bias` is given. Of the shares of raters the largest counts, as when a model is
    judged: a confidence is the probability of being right, and not the share of those who would
    agree. A polarity that follows from emotions has a say where none is annotated.
    """
    target = np.nan_to_num(rows.polarity)

    def polarity_loss(divisor: float) -> Losses:
        p = np.clip(softmax(polarity / np.float32(divisor)), 1e-6, 1)
        found: Losses = -(target * np.log(p)).sum(axis=1)
        return found

    graded: Bools = ~np.isnan(rows.polarity[:, 0])
    annotated: Bools = np.asarray(graded & (rows.polarity_weight == 1.0))
    graded = annotated if annotated.any() else graded
    cooler = likeliest(polarity_loss, rows, graded)
    if bias is None:
        both = fit(emotions, rows)
        return Temperature(both.divisor, cooler, both.bias)
    loss = emotion_loss(emotions, rows, bias)
    return Temperature(likeliest(loss, rows, labelled(rows)), cooler, bias)


@dataclass(frozen=True, slots=True)
class Fit:
    """The likeliest divisor and biases of logits, and how badly they explain the rows even so."""

    misfit: float
    divisor: float
    bias: Bias


def fit(emotions: Floats, rows: Rows) -> Fit:
    """The likeliest divisor of `GRID` for logits `(rows, 7)`, and the bias of each emotion that is
    then added (Platt 1999), normal around 0 with a deviation of `SHIFT`."""
    known = rows.take(np.flatnonzero(labelled(rows)))
    logits, say = emotions[labelled(rows)], voice(known, labelled(known))
    if not len(known):
        return Fit(0.0, 1.0, NO_BIAS)
    found: list[Fit] = []
    for divisor, doubt in zip(GRID, DOUBT, strict=True):
        bias = likeliest_bias(logits / np.float32(divisor), known, say)
        loss = say @ emotion_loss(logits, known, bias)(divisor)
        loss += doubt + np.square(bias).sum() / (2 * SHIFT**2)
        found.append(Fit(float(loss), round(float(divisor), 4), bias))
    return min(found, key=lambda one: one.misfit)


def likeliest_bias(logits: Floats, rows: Rows, say: Losses) -> Bias:
    """By Newton's method; `say` `(rows,)` is how much each of the `rows` counts."""
    counts = ~np.isnan(rows.emotions) * say[:, None]
    wanted = majority(rows.emotions)
    bias = np.zeros(len(EMOTIONS), np.float32)
    for _ in range(STEPS):
        p = sigmoid(logits + bias)
        slope = (counts * (p - wanted)).sum(axis=0) + bias / SHIFT**2
        curvature = (counts * p * (1 - p)).sum(axis=0) + 1 / SHIFT**2
        bias -= np.clip(slope / curvature, -1, 1).astype(np.float32)
    found: Bias = msgspec.convert([round(float(value), 4) for value in bias], Bias)
    return found


def labelled(rows: Rows) -> Bools:
    """Which rows annotate emotions, `(rows,)`."""
    return np.asarray(~np.isnan(rows.emotions).all(axis=1))


def emotion_loss(emotions: Floats, rows: Rows, bias: Bias = NO_BIAS) -> Callable[[float], Losses]:
    """The negative log-likelihood of each row by the divisor of its logits `(rows, 7)`."""
    known = ~np.isnan(rows.emotions)
    wanted = majority(rows.emotions)

    def loss(divisor: float) -> Losses:
        p = emotion_probabilities(emotions, Temperature(divisor, bias=bias))
        p = np.clip(p, 1e-6, 1 - 1e-6)
        each = wanted * np.log(p) + (1 - wanted) * np.log(1 - p)
        found: Losses = -(each * known).sum(axis=1)
        return found

    return loss


def likeliest(loss: Callable[[float], Losses], rows: Rows, chosen: Bools) -> float:
    """The divisor of `GRID` with the least loss; 1 where nothing is chosen.

    `loss` gives a negative log-likelihood a row, of which the `chosen` count.
    """
    if not chosen.any():
        return 1.0
    losses = np.stack([loss(divisor)[chosen] for divisor in GRID])  # (divisors, rows)
    total = DOUBT + losses @ voice(rows, chosen)
    return round(float(GRID[int(total.argmin())]), 4)


def voice(rows: Rows, chosen: Bools) -> Losses:
    """How much each of the `chosen` rows counts.

    Rows of one group err alike and count for fewer. A subset of modalities must be calibrated on
    tweets and on film dialogue: no corpus counts for more than `HEARD` rows.
    """
    corpus = rows.corpus[chosen]
    groups = np.array([rows.groups[row] for row in np.flatnonzero(chosen)], dtype=object)
    say: Losses = np.zeros(len(corpus))
    for name in np.unique(corpus):
        here = corpus == name
        say[here] = min(effective_rows(groups[here]), HEARD) / here.sum()
    return say


def effective_rows(groups: Sequence[str | None]) -> float:
    """How many independent rows say as much as these (Kish 1965, the design effect)."""
    sizes = Counter(group for group in groups if group is not None)
    alone = len(groups) - sizes.total()
    return alone + sum(size / (1 + (size - 1) * ALIKE) for size in sizes.values())
