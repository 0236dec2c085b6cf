"""What the fusion learns from and is calibrated on: which modalities a label speaks for."""

import numpy as np
import torch

from models.corpora import Rows
from models.fusion import Fusion
from models.labels import MODALITIES
from models.release import FusionConfig
from models.training.calibration import calibrate
from models.training.features import Features
from models.training.fusion_stage import distracted, drop_modalities

COUNT = 60
WIDTH = 8


def test_a_sample_labelled_by_its_text_keeps_it() -> None:
    samples = np.arange(6000).reshape(2000, 3)
    bound = np.arange(2000) % 2 == 0
    out = drop_modalities(samples, bound, 1.0, np.random.default_rng(1))
    left = out >= 0
    something = left.any(axis=1)
    assert left[bound & something, 0].all()
    assert not left[~bound & something, 0].all()
    assert (left.sum(axis=1) < 3).all(), "each of them loses something"
    for column in (1, 2):
        assert left[bound, column].any()
        assert not left[bound, column].all()


def test_a_distracted_text_stands_beside_anything() -> None:
    texts, tweets, faces, voices = np.arange(4 * COUNT).reshape(4, COUNT)
    place = {name: np.full(4 * COUNT, -1) for name in MODALITIES}
    place["text"][np.concatenate([texts, tweets])] = np.arange(2 * COUNT)
    place["image"][np.concatenate([tweets, faces])] = np.arange(2 * COUNT)
    place["audio"][voices] = np.arange(COUNT)
    vectors = torch.zeros(2 * COUNT, WIDTH, dtype=torch.float16)
    features = Features({"text": vectors, "image": vectors, "audio": vectors}, place)
    rows = _rows(np.zeros((4 * COUNT, 7), np.float32))
    samples = distracted(rows, features, 1000, seed=1)
    assert np.isin(samples[:, 0], texts).all()
    assert (samples[:, 0] == samples[:, 3]).all()
    shown, spoken = samples[samples[:, 1] >= 0, 1], samples[samples[:, 2] >= 0, 2]
    assert np.isin(spoken, voices).all()
    assert 0.4 < np.isin(shown, faces).mean() < 0.6
    assert np.isin(shown, np.concatenate([tweets, faces])).all()
    assert (samples[:, 1:3] >= 0).any(axis=1).all()
    assert (samples[:, 1:3] >= 0).all(axis=1).any()


def test_unrelated_voices_do_not_calibrate_voices() -> None:
    generator = np.random.default_rng(2)
    emotions = np.zeros((2 * COUNT, 7), np.float32)
    emotions[np.arange(2 * COUNT), generator.integers(0, 7, 2 * COUNT)] = 1
    rows = _rows(emotions)
    texts, voices = np.arange(COUNT), np.arange(COUNT, 2 * COUNT)
    place = {name: np.full(2 * COUNT, -1) for name in MODALITIES}
    place["text"][texts] = place["audio"][voices] = np.arange(COUNT)
    vectors = torch.from_numpy(generator.normal(0, 1, (COUNT, WIDTH)).astype(np.float16))
    features = Features({"text": vectors, "audio": vectors}, place)
    torch.manual_seed(3)
    fusion = Fusion(FusionConfig(width=16, heads=2, layers=1), {"text": WIDTH, "audio": WIDTH})
    fusion.eval()
    nothing = np.full(COUNT, -1)
    own = np.concatenate(
        [
            np.stack([texts, nothing, nothing, texts], axis=1),
            np.stack([nothing, nothing, voices, voices], axis=1),
        ]
    )
    unrelated = np.stack([texts, nothing, generator.permutation(voices), texts], axis=1)
    none = unrelated[:0]
    without = calibrate(fusion, rows, features, own, [], distracted=none)
    with_them = calibrate(fusion, rows, features, own, [], distracted=unrelated)
    assert with_them.temperatures["audio"] == without.temperatures["audio"]
    assert "text+audio" not in without.temperatures
    assert "text+audio" in with_them.temperatures


def _rows(emotions: np.ndarray) -> Rows:
    count = len(emotions)
    ones = np.ones(count, np.float32)
    unknown = np.full((count, 3), np.nan, np.float32)
    return Rows(
        [None] * count,
        [None] * count,
        [None] * count,
        emotions,
        unknown,
        ones,
        ones,
        np.array(["a"] * count),
        [None] * count,
        [()] * count,
    )
