import numpy as np
import pytest

from models.labels import EMOTIONS
from models.prediction import Spoken, disagreement, predict_from, sigmoid, softmax
from models.release import Calibration, Temperature

JOY, ANGER = EMOTIONS.index("joy"), EMOTIONS.index("anger")


def logits(emotion: int, height: float = 3.0) -> Spoken:
    emotions = np.full(7, -3.0, np.float32)
    emotions[emotion] = height
    polarity = np.array([-2, 0, 2] if emotion == JOY else [2, 0, -2], np.float32)
    return emotions, polarity


def test_fields_follow_from_the_logits() -> None:
    found = predict_from(*logits(JOY), {"text": logits(JOY)}, Calibration(thresholds={"joy": 0.4}))
    assert found.dominant == "joy"
    assert found.labels == ("joy",)
    assert found.modalities == ("text",)
    assert found.polarity.sum() == pytest.approx(1.0)
    assert found.sentiment == pytest.approx(found.polarity[2] - found.polarity[0])
    assert found.confidence == pytest.approx(found.emotions.max())
    assert found.conflict == 0.0
    assert not found.abstained


def test_of_what_was_not_read_nothing_is_claimed() -> None:
    found = predict_from(*logits(JOY), {}, Calibration(abstain_below=0.0))
    assert found.abstained
    assert (found.dominant, found.labels) == (None, ())
    assert (found.modalities, found.by_modality) == ((), {})
    assert found.emotions.tolist() == [0.0] * 7
    assert found.polarity.tolist() == [0.0, 1.0, 0.0]
    assert (found.sentiment, found.confidence, found.conflict) == (0.0, 0.0, 0.0)


def test_little_confidence_abstains() -> None:
    unsure = logits(JOY, -1.0)
    assert predict_from(*unsure, {"text": unsure}, Calibration(abstain_below=0.5)).abstained


def test_temperature_is_that_of_the_subset() -> None:
    calibration = Calibration({"text": Temperature(2.0, 4.0)})
    emotions, polarity = logits(JOY)
    cool = predict_from(emotions, polarity, {"text": (emotions, polarity)}, calibration)
    np.testing.assert_allclose(cool.emotions, sigmoid(emotions / np.float32(2)))
    np.testing.assert_allclose(cool.polarity, softmax(polarity / np.float32(4)))


def test_the_bias_of_the_subset_is_added_after_the_division() -> None:
    bias = (0.5, 0.0, 0.0, -3.0, 0.0, 0.0, 0.0)
    calibration = Calibration({"text": Temperature(2.0, bias=bias)})
    emotions, polarity = logits(JOY)
    found = predict_from(emotions, polarity, {"text": (emotions, polarity)}, calibration)
    expected = sigmoid(emotions / np.float32(2) + np.array(bias, np.float32))
    np.testing.assert_allclose(found.emotions, expected, rtol=1e-6)
    np.testing.assert_allclose(found.by_modality["text"][0], expected, rtol=1e-6)


def test_conflict_grows_with_disagreement() -> None:
    agree = predict_from(*logits(JOY), {"text": logits(JOY), "image": logits(JOY)}, Calibration())
    differ = predict_from(
        *logits(JOY), {"text": logits(JOY), "image": logits(ANGER)}, Calibration()
    )
    assert agree.conflict == pytest.approx(0.0, abs=1e-6)
    assert 0.5 < differ.conflict <= 1.0


def test_disagreement_of_extremes_is_one() -> None:
    one = (np.eye(7, dtype=np.float32)[0], np.array([1, 0, 0], np.float32))
    other = (np.eye(7, dtype=np.float32)[3], np.array([0, 0, 1], np.float32))
    assert disagreement({"text": one, "audio": other}) == pytest.approx(1.0)


def test_large_logits_stay_finite() -> None:
    huge = np.array([-1e4, 1e4], np.float32)
    np.testing.assert_allclose(sigmoid(huge), [0, 1])
    np.testing.assert_allclose(softmax(huge), [0, 1])
