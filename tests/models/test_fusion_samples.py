"""What the fusion learns from and is calibrated on: which modalities a label speaks for."""

import numpy as np
import torch

from models.corpora import Rows
from models.fusion import Fusion
from models.labels import MODALITIES
from models.release import FusionConfig
from models.training.calibration import calibrate
from models.training.features import Features
from models.training.fusion_stage import FusionTask, distracted, drop_modalities
from models.training.losses import divergence
from models.training.recipe import Corpus, Fit, FusionRecipe

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


def test_each_epoch_draws_samples_of_its_own() -> None:
    task = _task(epochs=2)
    first, second = (np.sort(np.concatenate(task.batches(epoch))) for epoch in (0, 1))
    both = np.intersect1d(first, second)
    assert not task.bound[both].any()
    assert (task.samples[both, 3] == both).all(), "the rows themselves"
    drawn = [task.samples[np.setdiff1d(epoch, both)] for epoch in (first, second)]
    assert len(drawn[0]) == len(drawn[1]) > 0
    assert (drawn[0] != drawn[1]).any()


def test_what_stands_beside_a_text_comes_to_change_nothing() -> None:
    task = _task(epochs=1)
    texts = np.flatnonzero(task.features.place["text"] >= 0)[:COUNT]
    alone, beside = np.full((2, COUNT, 3), -1)
    alone[:, 0] = beside[:, 0] = texts
    beside[:, 1] = np.flatnonzero(task.features.place["image"] >= 0)[:COUNT]
    fusion = task.module.eval()

    def moved() -> float:
        with torch.no_grad():
            answers = [
                fusion(pooled.vectors, pooled.present)
                for pooled in (task.features.gather(alone), task.features.gather(beside))
            ]
        emotions, polarity = answers[1]
        return float(divergence(emotions, polarity, answers[0]).mean())

    before = moved()
    optimiser = torch.optim.AdamW(task.groups(Fit(rate=3e-3)))
    for step, batch in enumerate(task.batches(0) * 30):
        task.module.train()
        task.loss(batch, step).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        optimiser.zero_grad()
    fusion.eval()
    assert moved() < before / 4


def test_logits_that_agree_are_no_distance_apart() -> None:
    emotions, polarity = torch.randn(5, 7), torch.randn(5, 3)
    assert divergence(emotions, polarity, (emotions, polarity)).abs().max() < 1e-6
    assert (divergence(emotions + 1, polarity, (emotions, polarity)) > 0).all()
    assert (divergence(emotions, polarity.flip(1), (emotions, polarity)) > 0).all()


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


def _task(epochs: float) -> FusionTask:
    """Texts alone, tweets with pictures; no corpus annotates anything."""
    texts, tweets = np.arange(2 * COUNT).reshape(2, COUNT)
    place = {name: np.full(2 * COUNT, -1) for name in MODALITIES}
    place["text"][:] = np.arange(2 * COUNT)
    place["image"][tweets] = np.arange(COUNT)
    generator = torch.Generator().manual_seed(4)
    vectors = torch.randn(2 * COUNT, WIDTH, generator=generator).half()
    features = Features({"text": vectors, "image": vectors[tweets]}, place)
    rows = _rows(np.full((len(texts) + len(tweets), 7), np.nan, np.float32))
    torch.manual_seed(5)
    dims = {"text": WIDTH, "image": WIDTH}
    fusion = Fusion(FusionConfig(width=16, heads=2, layers=1), dims)
    recipe = FusionRecipe(
        corpora=[Corpus("a")],
        multi=[],
        rows_per_batch=40,
        composites=0,
        distracted=200,
        fit=Fit(epochs=epochs),
    )
    return FusionTask(fusion, rows, features, recipe, seed=6)


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
