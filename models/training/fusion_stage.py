"""Stage four: the fusion on the towers' vectors, with modality dropout and composites."""

import dataclasses
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from models.corpora import Rows, majority
from models.fusion import Fusion
from models.labels import MODALITIES
from models.training.features import Features
from models.training.loop import Indices
from models.training.losses import divergence, masked_loss
from models.training.recipe import Fit, FusionRecipe

NOTHING = 0.01  # share of samples with every modality dropped, from which the prior is learnt
FACES = 0.5  # share of the distracted texts' pictures that are faces instead of those of posts
VOICES = 0.7  # share of the distracted texts that come with a voice, alone or with a picture
STEADY = 3.0  # weight of a distracted text's distance from the answer to the text alone
LABELLED = 0.5  # and of its label, which is learnt from the text alone as well
MAJORITY = 0.5  # how far the shares of raters move to what most of them say
EXCLUSIVE = 0.2
TEXT = MODALITIES.index("text")
# Which modalities a composite joins, as columns of MODALITIES.
JOINS = ((0, 1, 2), (0, 1), (0, 2), (1, 2))
Bools = npt.NDArray[np.bool_]
Samples = npt.NDArray[np.int64]  # (samples, 4): row of text, image, audio (or -1), row of labels


class FusionTask:
    """Trains the fusion alone; the towers are done.

    Each epoch sees the rows themselves, and composites and distracted texts of its own.
    """

    def __init__(
        self, fusion: Fusion, rows: Rows, features: Features, recipe: FusionRecipe, seed: int
    ) -> None:
        self.module: nn.Module = fusion
        voted = rows.emotions + MAJORITY * (majority(rows.emotions) - rows.emotions)  # NaN stays
        self.rows = dataclasses.replace(rows, emotions=voted)
        self.features = features
        repeats = {corpus.name: corpus.repeat for corpus in recipe.corpora}
        own = own_samples(rows, features)
        own = np.repeat(own, [repeats[name] for name in rows.corpus], axis=0)
        self._own = len(own)
        parts, bound = [own], [np.zeros(len(own), np.bool_)]
        for epoch in range(math.ceil(recipe.fit.epochs)):
            joined = composites(rows, features, recipe.composites, seed, epoch)
            beside = distracted(rows, features, recipe.distracted, seed, epoch)
            parts += [joined, beside]
            bound.append(np.repeat([False, True], [len(joined), len(beside)]))
        self.samples = np.concatenate(parts)
        self.bound = np.concatenate(bound)
        self._drawn = len(bound[-1])
        self._recipe = recipe
        self._seed = seed
        self._device = fusion.summary.device

    def groups(self, fit: Fit) -> list[dict[str, Any]]:
        """One rate for all: everything is new."""
        return [{"params": list(self.module.parameters()), "lr": fit.rate}]

    def batches(self, epoch: int) -> list[Indices]:
        """Every sample of the epoch once, in random order; a last short batch is left out."""
        size = self._recipe.rows_per_batch
        drawn = self._own + epoch * self._drawn + np.arange(self._drawn)
        order = np.concatenate([np.arange(self._own), drawn])
        order = np.random.default_rng([self._seed, 3, epoch]).permutation(order)
        return [order[i * size : (i + 1) * size] for i in range(max(1, len(order) // size))]

    def loss(self, batch: Indices, step: int) -> Tensor:
        """Mean over the batch, with some modalities of some samples dropped.

        What stands beside a distracted text is to change nothing, also of what its corpus does not
        annotate: the distance from the answer to the text alone is added.
        """
        generator = np.random.default_rng([self._seed, 4, step])
        chosen, bound = self.samples[batch], self.bound[batch]
        share = self._recipe.modality_dropout
        dropped = drop_modalities(chosen[:, :3], bound, share, generator)
        emotions, polarity = self._answer(dropped)
        losses = masked_loss(emotions, polarity, self.rows.take(chosen[:, 3]), EXCLUSIVE)
        losses = losses * torch.from_numpy(np.where(bound, LABELLED, 1)).to(losses)
        beside = np.flatnonzero(bound & (dropped[:, TEXT] >= 0))
        if len(beside):
            alone = self._text_alone(dropped[beside])
            places = torch.from_numpy(beside).to(self._device)
            away = divergence(emotions[places], polarity[places], alone)
            losses = losses.index_add(0, places, away, alpha=STEADY)
        return losses.mean()

    def _answer(self, samples: npt.NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        pooled = self.features.gather(samples).to(self._device)
        logits: tuple[Tensor, Tensor] = self.module(pooled.vectors, pooled.present)
        return logits

    @torch.no_grad()
    def _text_alone(self, samples: npt.NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """The logits of the texts, under dropout too: a surer target would make all too sure."""
        texts = np.full_like(samples, -1)
        texts[:, TEXT] = samples[:, TEXT]
        return self._answer(texts)


def own_samples(rows: Rows, features: Features) -> Samples:
    """Each row with the modalities that it has."""
    index = np.arange(len(rows))
    columns = [np.where(features.place[name] >= 0, index, -1) for name in MODALITIES]
    return np.stack([*columns, index], axis=1)


def composites(rows: Rows, features: Features, count: int, seed: int, epoch: int = 0) -> Samples:
    """Samples joined from rows of different corpora that carry the same single emotion.

    They show how modalities meet, which no corpus of three does; their labels are the text's,
    else the voice's. Empty where a modality has no labelled rows.
    """
    generator = np.random.default_rng([seed, 5, epoch])
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


def distracted(rows: Rows, features: Features, count: int, seed: int, epoch: int = 0) -> Samples:
    """Texts that stand alone, joined with any picture of a post or any face, any voice or both.

    The label is the text's: the fusion learns that the rest may have nothing to say. Empty where
    there are no such pictures.
    """
    generator = np.random.default_rng([seed, 6, epoch])
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
