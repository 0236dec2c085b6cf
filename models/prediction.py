"""What the model says of one item, and how logits become it."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from models.labels import EMOTIONS, POLARITIES, Emotion, Modality
from models.release import Calibration, Temperature, subset_key

Floats = npt.NDArray[np.float32]
Spoken = tuple[Floats, Floats]  # emotions (7,), polarity (3,)
NEGATIVE, POSITIVE = POLARITIES.index("negative"), POLARITIES.index("positive")


@dataclass(frozen=True, slots=True)
class Prediction:
    """Probabilities and what follows from them, for one item.

    `emotions` `(7,)`, each 0-1, not exclusive; `polarity` `(3,)`, summing to 1; `dominant` the
    likeliest emotion, None where nothing was read; `labels` those that pass their thresholds,
    perhaps none; `sentiment` positive - negative, -1 to 1; `confidence` the probability of
    `dominant`; `abstained` where that is too low or nothing was read; `conflict` 0-1, how far the
    modalities disagree; `modalities` those used; `by_modality` what each says alone.
    """

    emotions: Floats
    polarity: Floats
    dominant: Emotion | None
    labels: tuple[Emotion, ...]
    sentiment: float
    confidence: float
    abstained: bool
    conflict: float
    modalities: tuple[Modality, ...]
    by_modality: dict[Modality, Spoken]


def predict_from(
    emotions: Floats, polarity: Floats, alone: Mapping[Modality, Spoken], calibration: Calibration
) -> Prediction:
    """Turn the logits of one item into a Prediction.

    `emotions` `(7,)` and `polarity` `(3,)` are the fused logits; `alone` holds the logits of each
    modality on its own, in the order of `MODALITIES`; without any the logits say nothing of the
    item.
    """
    if not alone:
        return nothing_read()
    modalities = tuple(alone)
    fused = calibrated(emotions, polarity, modalities, calibration)
    by_modality = {
        name: calibrated(*logits, (name,), calibration) for name, logits in alone.items()
    }
    top = int(fused[0].argmax())
    confidence = float(fused[0][top])
    thresholds = calibration.thresholds
    return Prediction(
        emotions=fused[0],
        polarity=fused[1],
        dominant=EMOTIONS[top],
        labels=tuple(
            name
            for name, value in zip(EMOTIONS, fused[0], strict=True)
            if value >= thresholds.get(name, 0.5)
        ),
        sentiment=float(fused[1][POSITIVE] - fused[1][NEGATIVE]),
        confidence=confidence,
        abstained=confidence < calibration.abstain_below,
        conflict=disagreement(by_modality),
        modalities=modalities,
        by_modality=by_modality,
    )


def nothing_read() -> Prediction:
    """What is said of an item of which nothing was read: nothing is claimed."""
    return Prediction(
        emotions=np.zeros(len(EMOTIONS), np.float32),
        polarity=np.array([name == "neutral" for name in POLARITIES], np.float32),
        dominant=None,
        labels=(),
        sentiment=0.0,
        confidence=0.0,
        abstained=True,
        conflict=0.0,
        modalities=(),
        by_modality={},
    )


def calibrated(
    emotions: Floats, polarity: Floats, modalities: tuple[Modality, ...], calibration: Calibration
) -> Spoken:
    """Logits to probabilities by the temperature and bias of the subset (Guo et al. 2017)."""
    temperature = calibration.temperatures.get(subset_key(modalities), Temperature())
    return (
        emotion_probabilities(emotions, temperature),
        softmax(polarity / temperature.polarity),
    )


def emotion_probabilities(logits: Floats, temperature: Temperature) -> Floats:
    """Of logits `(..., 7)`: divided, the bias of each emotion added, made probabilities."""
    return sigmoid(logits / temperature.emotions + np.array(temperature.bias, np.float32))


def disagreement(by_modality: Mapping[Modality, Spoken]) -> float:
    """The widest disagreement of two modalities, 0-1; 0 with fewer than two.

    For a pair: the mean of the total variation distances of their polarities and of their
    emotions, the latter scaled to sum to one.
    """
    pairs = combinations(by_modality.values(), 2)
    return max((_distance(one, other) for one, other in pairs), default=0.0)


def _distance(one: Spoken, other: Spoken) -> float:
    shares = [spoken[0] / max(float(spoken[0].sum()), 1e-6) for spoken in (one, other)]
    emotions = float(np.abs(shares[0] - shares[1]).sum()) / 2
    polarity = float(np.abs(one[1] - other[1]).sum()) / 2
    return min(1.0, (emotions + polarity) / 2)


def sigmoid(logits: Floats) -> Floats:
    """Elementwise, safe for large magnitudes."""
    result: Floats = (0.5 * (1.0 + np.tanh(0.5 * logits))).astype(np.float32)
    return result


def softmax(logits: Floats) -> Floats:
    """Over the last axis."""
    raised = np.exp(logits - logits.max(axis=-1, keepdims=True))
    result: Floats = (raised / raised.sum(axis=-1, keepdims=True)).astype(np.float32)
    return result
