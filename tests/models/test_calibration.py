"""Temperatures and thresholds on made-up logits whose right answers are known."""

import dataclasses

import numpy as np

from models.corpora import Rows, majority
from models.labels import EMOTIONS
from models.metrics import f1
from models.prediction import sigmoid
from models.training.calibration import effective_rows, temperature, thresholds

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
    assert 1.3 < temperature(logits, nothing, speakers).emotions < alone - 0.1
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


def test_thresholds_find_the_best_f1() -> None:
    generator = np.random.default_rng(5)
    actual = generator.random((4000, 7)) < 0.2
    probabilities = np.clip(generator.normal(0.25, 0.08, (4000, 7)) + 0.2 * actual, 0, 1)
    chosen = thresholds(
        probabilities.astype(np.float32), rows(actual.astype(float), ["a"] * 4000), ["a"]
    )
    for column, name in enumerate(EMOTIONS):
        scored = [f1(probabilities[:, column] >= t, actual[:, column]) for t in (0.1, 0.5, 0.6)]
        best = f1(probabilities[:, column] >= chosen[name], actual[:, column])
        assert best > max(scored)


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
