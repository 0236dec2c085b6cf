"""Stage four: the fusion on the towers' vectors, with modality dropout and composites."""

from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from models.corpora import Rows
from models.fusion import Fusion
from models.labels import MODALITIES
from models.training.features import Features
from models.training.loop import Indices
from models.training.losses import masked_loss
from models.training.recipe import Fit, FusionRecipe

NOTHING = 0.01  # share of samples with every modality dropped, from which the prior is learnt
FACES = 0.5  # share of the distracted texts' pictures that are faces instead of those of posts
VOICES = 0.7  # share of the distracted texts that come with a voice, alone or with a picture
EXCLUSIVE = 0.2
TEXT = MODALITIES.index("text")
# Which modalities a composite joins, as columns of MODALITIES.
JOINS = ((0, 1, 2), (0, 1), (0, 2), (1, 2))
Bools = npt.NDArray[np.bool_]
Samples = npt.NDArray[np.int64]  # (samples, 4): row of text, image, audio (or -1), row of labels


class FusionTask:
    """Trains the fusion alone; the towers are done."""

    def __init__(
        self, fusion: Fusion, rows: Rows, features: Features, recipe: FusionRecipe, seed: int
    ) -> None:
        self.module: nn.Module = fusion
        self.rows = rows
        self.features = features
        repeats = {corpus.name: corpus.repeat for corpus in recipe.corpora}
        own = own_samples(rows, features)
        own = np.repeat(own, [repeats[name] for name in rows.corpus], axis=0)
        extra = composites(rows, features, recipe.composites, seed)
        beside = distracted(rows, features, recipe.distracted, seed)
        self.samples = np.concatenate([own, extra, beside])
        self.bound = np.arange(len(self.samples)) >= len(own) + len(extra)
        self._recipe = recipe
        self._seed = seed
        self._device = fusion.summary.device

    def groups(self, fit: Fit) -> list[dict[str, Any]]:
        """One rate for all: everything is new."""
        return [{"params": list(self.module.parameters()), "lr": fit.rate}]

    def batches(self, epoch: int) -> list[Indices]:
        """Every sample once, in random order; a last short batch is left out."""
        size = self._recipe.rows_per_batch
        order = np.random.default_rng([self._seed, 3, epoch]).permutation(len(self.samples))
        return [order[i * size : (i + 1) * size] for i in range(max(1, len(order) // size))]

    def loss(self, batch: Indices, step: int) -> Tensor:
        """Mean over the batch, with some modalities of some samples dropped."""
        generator = np.random.default_rng([self._seed, 4, step])
        chosen = self.samples[batch]
        share = self._recipe.modality_dropout
        dropped = drop_modalities(chosen[:, :3], self.bound[batch], share, generator)
        pooled = self.features.gather(dropped).to(self._device)
        emotions, polarity = self.module(pooled.vectors, pooled.present)
        return masked_loss(emotions, polarity, self.rows.take(chosen[:, 3]), EXCLUSIVE).mean()


def own_samples(rows: Rows, features: Features) -> Samples:
    """Each row with the modalities that it has."""
    index = np.arange(len(rows))
    columns = [np.where(features.place[name] >= 0, index, -1) for name in MODALITIES]
    return np.stack([*columns, index], axis=1)


def composites(rows: Rows, features: Features, count: int, seed: int) -> Samples:
    """Samples joined from rows of different corpora that carry the same single emotion.

    They show how modalities meet, which no corpus of three does; their labels are the text's,
    else the voice's. Empty where a modality has no labelled rows.
    """
    generator = np.random.default_rng([seed, 5])
    single = dominant_emotions(rows)
    alone = np.stack([features.place[name] >= 0 for name in MODALITIES], axis=1)
    alone &= alone.sum(axis=1, keepdims=True) == 1
    pools = [
        [np.flatnonzero(alone[:, column] & (single == emotion)) for emotion in range(7)]
        for column in range(3)
    ]
    usable = [e for e in range(7) if all(len(pools[column][e]) for column in range(3))]
    samples = np.full((count if usable else 0, 4), -1, np.int64)
    for sample in samples:
        emotion = usable[generator.integers(len(usable))]
        join = JOINS[generator.integers(len(JOINS))]
        for column in join:
            pool = pools[column][emotion]
            sample[column] = pool[generator.integers(len(pool))]
        sample[3] = sample[0] if sample[0] >= 0 else sample[2]
    return samples


def distracted(rows: Rows, features: Features, count: int, seed: int) -> Samples:
    """Texts that stand alone, joined with any picture of a post or any face, any voice or both.

    The label is the text's: the fusion learns that the rest may have nothing to say. Empty where
    there are no such pictures.
    """
    generator = np.random.default_rng([seed, 6])
    has = {name: features.place[name] >= 0 for name in MODALITIES}
    texts = np.flatnonzero(has["text"] & ~has["image"] & ~has["audio"])
    pictures = np.flatnonzero(has["text"] & has["image"])
    faces = np.flatnonzero(has["image"] & ~has["text"])
    voices = np.flatnonzero(has["audio"])
    if not len(texts) or not len(pictures):
        return np.empty((0, 4), np.int64)
    samples = np.full((count, 4), -1, np.int64)
    samples[:, 0] = samples[:, 3] = generator.choice(texts, count)
    samples[:, 1] = generator.choice(pictures, count)
    if len(faces):
        shown = generator.random(count) < FACES
        samples[shown, 1] = generator.choice(faces, int(shown.sum()))
    if len(voices):
        spoken = generator.random(count) < VOICES
        samples[spoken, 2] = generator.choice(voices, int(spoken.sum()))
        samples[spoken & (generator.random(count) < 0.5), 1] = -1
    return samples


def dominant_emotions(rows: Rows) -> Indices:
    """Index of the one emotion of each row, -1 where there are several, none or no majority."""
    known = np.nan_to_num(rows.emotions)
    clear = (known.max(axis=1) > 0.5) & ((known > 0.3).sum(axis=1) == 1)
    return np.where(clear, known.argmax(axis=1), -1)


def drop_modalities(
    samples: npt.NDArray[np.int64], bound: Bools, share: float, generator: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Drop some of the modalities from `share` of the samples that have several, and everything
    from a few.

    At least one is left, in a `bound` sample the text: its label tells nothing about the rest.
    """
    out = samples.copy()
    for row in np.flatnonzero((samples >= 0).sum(axis=1) > 1):
        if generator.random() < share:
            have = generator.permutation(np.flatnonzero(samples[row] >= 0))
            if bound[row]:
                have = np.append(have[have != TEXT], TEXT)
            out[row, have[: generator.integers(1, len(have))]] = -1
    out[generator.random(len(out)) < NOTHING] = -1
    return out
