"""Temperatures and thresholds on made-up logits whose right answers are known."""

import dataclasses

import numpy as np

from models.corpora import Rows, majority
from models.evaluation import Answers
from models.labels import EMOTIONS
from models.metrics import f1
from models.prediction import emotion_probabilities, sigmoid, softmax
from models.release import Calibration, Config, Temperature, TextConfig
from models.training.assess import uncalibrated
from models.training.calibration import effective_rows, temperature
from models.training.thresholds import thresholds

NAN = float("nan")


def rows(emotions: np.ndarray, corpus: list[str], polarity: np.ndarray | None = None) -> Rows:
    count = len(emotions)
    given = np.full((count, 3), NAN, np.float32) if polarity is None else polarity
    return Rows(
        ["x"] * count,
        [None] * count,
        [None] * count,
        emotions.astype(np.float32),
        given.astype(np.float32),
        np.ones(count, np.float32),
        np.ones(count, np.float32),
        np.array(corpus),
        [None] * count,
        [()] * count,
    )


def drawn(count: int, factor: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are `factor` times too sure, and labels drawn from the right ones."""
    generator = np.random.default_rng(seed)
    right = generator.normal(0, 1.5, (count, 7)).astype(np.float32)
    labels = generator.random((count, 7)) < sigmoid(right)
    return right * np.float32(factor), labels.astype(np.float32)


def test_a_temperature_undoes_what_is_too_sure() -> None:
    logits, labels = drawn(3000, 2.0, 1)
    found = temperature(logits, np.zeros((3000, 3), np.float32), rows(labels, ["a"] * 3000))
    assert abs(found.emotions - 2.0) < 0.25
    assert found.polarity == 1.0


def test_a_small_corpus_has_the_same_say() -> None:
    sure, labels = drawn(3000, 3.0, 2)
    right, few = drawn(300, 1.0, 3)
    both = rows(np.concatenate([labels, few]), ["big"] * 3000 + ["small"] * 300)
    logits = np.concatenate([sure, right])
    found = temperature(logits, np.zeros((3300, 3), np.float32), both)
    alone = temperature(sure, np.zeros((3000, 3), np.float32), rows(labels, ["big"] * 3000))
    assert 1.0 < found.emotions < alone.emotions - 0.4


def test_two_speakers_say_less_than_their_rows() -> None:
    sure, labels = drawn(500, 3.0, 7)
    right, others = drawn(500, 1.0, 8)
    both = rows(np.concatenate([labels, others]), ["a"] * 1000)
    logits = np.concatenate([sure, right])
    nothing = np.zeros((1000, 3), np.float32)
    alone = temperature(logits, nothing, both).emotions
    assert alone > 1.5
    two: list[str | None] = ["one" if row < 500 else "other" for row in range(1000)]
    speakers = dataclasses.replace(both, groups=two)
    assert 1.3 < temperature(logits, nothing, speakers).emotions < alone - 0.05
    names: list[str | None] = [f"s{row % 500}" for row in range(1000)]
    many = dataclasses.replace(both, groups=names)
    assert abs(temperature(logits, nothing, many).emotions - alone) < 0.2


def test_rows_of_a_group_count_for_fewer() -> None:
    assert effective_rows([None] * 5) == 5
    assert effective_rows(["a", "b", None]) == 3
    assert 2 < effective_rows(["a"] * 100 + ["b"] * 100) < 20  # never more than 1 / ALIKE a group


def test_a_confidence_is_the_probability_that_most_raters_agree() -> None:
    generator = np.random.default_rng(9)
    shares = generator.dirichlet(np.full(7, 0.4), 4000)
    logits = np.log(shares / (1 - shares)).clip(-8, 8).astype(np.float32)
    found = temperature(logits, np.zeros((4000, 3), np.float32), rows(shares, ["a"] * 4000))
    assert found.emotions < 0.8
    assert (majority(shares.astype(np.float32)).sum(axis=1) == 1).all()


def test_labels_that_are_no_shares_stay_as_they_are() -> None:
    several = np.array([[1, 0, 1, 0, NAN, 0, 0], [0, 0, 0, 0, 0, 0, 0]], np.float32)
    assert (majority(several) == np.nan_to_num(several)).all()


def test_what_is_not_annotated_decides_nothing() -> None:
    logits, labels = drawn(2000, 2.0, 4)
    logits[:, 0] = 9.0
    labels[:, 0] = NAN
    found = temperature(logits, np.zeros((2000, 3), np.float32), rows(labels, ["a"] * 2000))
    assert abs(found.emotions - 2.0) < 0.3


def test_a_bias_undoes_what_is_too_likely() -> None:
    logits, labels = drawn(3000, 1.0, 10)
    logits[:, 2] += 1.0
    found = temperature(logits, np.zeros((3000, 3), np.float32), rows(labels, ["a"] * 3000))
    # The prior gives 100 rows' worth of evidence its due and no more.
    assert -1.0 < found.bias[2] < -0.5
    assert all(abs(value) < 0.2 for place, value in enumerate(found.bias) if place != 2)


def test_a_few_speakers_move_a_bias_less() -> None:
    logits, labels = drawn(1000, 1.0, 11)
    both = rows(labels, ["a"] * 1000)
    nothing = np.zeros((1000, 3), np.float32)
    alone = temperature(logits + 1, nothing, both).bias
    two: list[str | None] = ["one" if row < 500 else "other" for row in range(1000)]
    speakers = temperature(logits + 1, nothing, dataclasses.replace(both, groups=two)).bias
    assert all(one < other - 0.1 < 0 for one, other in zip(alone, speakers, strict=True))


def test_logits_far_off_have_a_bias_all_the_same() -> None:
    labels = np.zeros((200, 7), np.float32)
    logits = np.full((200, 7), 30.0, np.float32)
    found = temperature(logits, np.zeros((200, 3), np.float32), rows(labels, ["a"] * 200))
    assert all(-10 < value < -2 for value in found.bias)


def test_a_bias_that_is_given_is_kept() -> None:
    logits, labels = drawn(3000, 2.0, 12)
    given = (-1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
    found = temperature(logits, np.zeros((3000, 3), np.float32), rows(labels, ["a"] * 3000), given)
    assert found.bias == given
    assert abs(found.emotions - 2.0) < 0.3


def test_what_calibration_did_is_undone() -> None:
    logits, labels = drawn(50, 1.0, 13)
    text = Temperature(2.0, 0.5, (0.3, -1.0, 0.0, 0.0, 2.0, 0.0, 0.0))
    config = Config(TextConfig({}, 8), calibration=Calibration({"text": text}))
    said = Answers(
        rows(labels, ["a"] * 50),
        np.arange(50),
        50,
        emotions=emotion_probabilities(logits, text),
        polarity=softmax((logits[:, :3] * 2).astype(np.float32)),
        passed=labels > 0,
        confidence=logits[:, 0],
        abstained=labels[:, 0] > 0,
    )
    raw = uncalibrated(said, config)
    np.testing.assert_allclose(raw.emotions, sigmoid(logits), atol=1e-4)
    np.testing.assert_allclose(raw.polarity, softmax(logits[:, :3]), atol=1e-4)


def test_thresholds_find_the_best_f1() -> None:
    generator = np.random.default_rng(5)
    p = sigmoid(generator.normal(-2, 1.5, (40_000, 7)).astype(np.float32))
    actual = generator.random((40_000, 7)) < p
    chosen = thresholds(p, rows(actual.astype(float), ["a"] * 40_000), ["a"])
    for column, name in enumerate(EMOTIONS):
        scored = [f1(p[:, column] >= t, actual[:, column]) for t in np.linspace(0.05, 0.95, 91)]
        assert f1(p[:, column] >= chosen[name], actual[:, column]) > max(scored) - 0.005


def test_neutral_that_no_row_is_labelled_with_has_no_say() -> None:
    generator = np.random.default_rng(8)
    p = generator.random((2000, 7)).astype(np.float32)
    p[1000:] *= 0.3
    both = rows((generator.random((2000, 7)) < p).astype(float), ["a"] * 1000 + ["b"] * 1000)
    some: list[tuple[str, ...]] = [("neutral",) if row < 1000 else ("joy",) for row in range(2000)]
    named = dataclasses.replace(both, labels=some)
    everywhere: list[tuple[str, ...]] = [("neutral",)] * 2000
    alone = dataclasses.replace(both, labels=everywhere)
    without, with_both = thresholds(p, named, ["a", "b"]), thresholds(p, alone, ["a", "b"])
    assert without["neutral"] > with_both["neutral"] + 0.02
    assert without["joy"] == with_both["joy"]


def test_few_positives_do_not_move_a_threshold_far() -> None:
    generator = np.random.default_rng(6)
    found = []
    for _ in range(20):
        right = generator.normal(-2, 1.5, (300, 7))
        p = sigmoid(right.astype(np.float32))
        labels = (generator.random((300, 7)) < p).astype(float)
        found.append(list(thresholds(p, rows(labels, ["a"] * 300), ["a"]).values()))
    # Half the best F1 that can be expected, which is .54 here.
    assert abs(np.mean(found) - 0.27) < 0.03
    assert np.std(found) < 0.06


def test_a_corpus_of_few_positives_says_little_about_a_threshold() -> None:
    generator = np.random.default_rng(7)
    p = generator.random((2200, 7)).astype(np.float32)
    large = (generator.random((2000, 7)) < p[:2000]).astype(float)
    small = (p[2000:] > 0.85).astype(float)
    names = ["large"] * 2000 + ["small"] * 200
    both = thresholds(p, rows(np.concatenate([large, small]), names), ["large", "small"])
    alone = thresholds(p, rows(np.concatenate([large, small]), names), ["large"])
    assert all(abs(both[name] - alone[name]) < 0.08 for name in EMOTIONS)
