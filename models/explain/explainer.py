"""Why the model said what it said of one item, by asking it again about changed ones.

Everything is measured through the production path (prepare, predict), in float32: what it takes
to move the answer is found by moving it. No gradient is needed, so the explanation covers every
branch of the model.

- Modalities: exact Shapley values over all subsets (Shapley 1953; Lundberg & Lee 2017).
- Words: Shapley values as well, estimated by KernelSHAP (models/explain/kernel.py).
- Patches of the picture, moments of the sound: what covering one takes (Zeiler & Fergus 2014).
"""

import dataclasses
from collections.abc import Callable, Sequence
from itertools import combinations
from math import factorial
from pathlib import Path

import msgspec
import numpy as np
import torch
from tokenizers import Tokenizer

from models.errors import ItemError, ModelError
from models.explain.kernel import Floats, Masks, kernel_shap
from models.explain.media import cover_patches, moments, mute, patches, sound_start
from models.explain.units import units, without
from models.labels import EMOTIONS, POLARITIES, Emotion, Modality, Polarity
from models.prediction import Prediction
from models.predictor import Predictor
from models.prepare import Item, Prepared, Preparer, read_tokenizer


class Share(msgspec.Struct, frozen=True):
    """What a modality adds: to the probability of the emotion, and of each polarity."""

    emotion: float
    polarity: dict[Polarity, float]


class Word(msgspec.Struct, frozen=True):
    """A part of the text, `text[start:end]` in characters, and what it adds."""

    start: int
    end: int
    text: str
    weight: float


class Moment(msgspec.Struct, frozen=True):
    """A part of the sound, in seconds from its beginning, and what it adds."""

    start: float
    end: float
    weight: float


class Explanation(msgspec.Struct, frozen=True):
    """Where the probability of `emotion`, the dominant one, comes from.

    `emotion` is None where nothing was read, and the rest is empty. `probability` with everything,
    `prior` with nothing; the shares of `modalities` add up to the difference. Weights of `words`,
    of `patches` (rows of the picture, top to bottom) and of `moments` are in the same unit, a
    probability, with the other modalities left as they are; None where the item lacks the modality.
    Those of the words add up to what the text is worth beside the rest; those of patches and
    moments need not. `unexplained` is what is left over, by modality: where parts repeat each other
    it is positive, where they need each other negative.
    """

    emotion: Emotion | None
    probability: float
    prior: float
    modalities: dict[Modality, Share]
    words: list[Word] | None
    patches: list[list[float]] | None
    moments: list[Moment] | None
    unexplained: dict[Modality, float]


class Explainer:
    """A release that is asked for reasons."""

    def __init__(self, predictor: Predictor, preparer: Preparer, tokenizer: Tokenizer) -> None:
        self.predictor = predictor
        self._preparer = preparer
        self._tokenizer = tokenizer
        self._prior = predictor.prior()

    @classmethod
    def load(cls, release: Path, device: str = "cpu") -> "Explainer":
        """Raises ReleaseError for a folder that is incomplete or altered."""
        predictor = Predictor.load(release, device, torch.float32)
        return cls(predictor, Preparer.load(release), read_tokenizer(release))

    def explain(self, item: Item) -> tuple[Prediction, Explanation]:
        """Score an item and say why. Some hundred forward passes for an item with everything.

        Raises ModelError for an item that cannot be read or scored.
        """
        [whole] = self.prepare([item])
        [prediction] = self.predict([whole])
        if prediction.dominant is None:
            return prediction, Explanation(None, 0.0, 0.0, {}, None, None, None, {})
        target = EMOTIONS.index(prediction.dominant)
        given = prediction.modalities
        values = self._subsets(item, given)

        def chance(prepared: Sequence[Prepared]) -> Floats:
            return self.chances(prepared)[:, target]

        words = self._words(item, whole, chance) if "text" in given else None
        grid = self._patches(whole, chance) if "image" in given else None
        parts = self._moments(item, whole, chance) if "audio" in given else None
        found: dict[Modality, float] = {}
        if words is not None:
            found["text"] = sum(word.weight for word in words)
        if grid is not None:
            found["image"] = float(grid.sum())
        if parts is not None:
            found["audio"] = sum(part.weight for part in parts)
        full = values[frozenset(given)]
        return prediction, Explanation(
            emotion=prediction.dominant,
            probability=_rounded(full[target]),
            prior=_rounded(values[frozenset()][target]),
            modalities=_shares(given, values, target),
            words=words,
            patches=None if grid is None else [[_rounded(v) for v in row] for row in grid],
            moments=parts,
            unexplained={
                name: _rounded(full[target] - values[frozenset(given) - {name}][target] - explained)
                for name, explained in found.items()
            },
        )

    def prepare(self, items: Sequence[Item]) -> list[Prepared]:
        """As the pipeline does. Raises ModelError for an item that cannot be read."""
        prepared = self._preparer.prepare(items)
        for one in prepared:
            if isinstance(one, ItemError):
                raise ModelError(one.reason)
        return [one for one in prepared if isinstance(one, Prepared)]

    def predict(self, prepared: Sequence[Prepared]) -> list[Prediction]:
        """As the pipeline does. Raises ModelError for an item that cannot be scored."""
        answers = self.predictor.predict(prepared)
        for one in answers:
            if isinstance(one, ItemError):
                raise ModelError(one.reason)
        return [one for one in answers if isinstance(one, Prediction)]

    def chances(self, prepared: Sequence[Prepared]) -> Floats:
        """Ten probabilities an item, emotions and polarity, `(items, 10)`.

        Where nothing is read they are the prior, from which the rest is told apart. Raises
        ModelError for an item that cannot be scored.
        """
        answers = self.predict(prepared)
        said = [(a.emotions, a.polarity) if a.modalities else self._prior for a in answers]
        return np.array([np.concatenate(parts) for parts in said], float)

    def retold(self, whole: Prepared, texts: Sequence[str]) -> list[Prepared]:
        """The item with other words: its picture and its sound stay."""
        return [
            dataclasses.replace(told, pixels=whole.pixels, mel=whole.mel)
            for told in self.prepare([Item(text) for text in texts])
        ]

    def units(self, text: str) -> list[tuple[int, int]]:
        """Start and end of each part of a text that is left out as one."""
        return units(text, self._tokenizer)

    def _subsets(self, item: Item, given: Sequence[Modality]) -> dict[frozenset[Modality], Floats]:
        """Ten probabilities, emotions and polarity, for every subset of the modalities."""
        subsets = [frozenset(s) for n in range(len(given) + 1) for s in combinations(given, n)]
        items = [
            Item(
                item.text if "text" in kept else None,
                item.image if "image" in kept else None,
                item.audio if "audio" in kept else None,
            )
            for kept in subsets
        ]
        return dict(zip(subsets, self.chances(self.prepare(items)), strict=True))

    def _words(
        self, item: Item, whole: Prepared, chance: Callable[[Sequence[Prepared]], Floats]
    ) -> list[Word]:
        text = item.text or ""
        spans = self.units(text)

        def worth(masks: Masks) -> Floats:
            gone = [
                [s for s, there in zip(spans, mask, strict=True) if not there] for mask in masks
            ]
            return chance(self.retold(whole, [without(text, cut) for cut in gone]))

        return [
            Word(start, end, text[start:end], _rounded(weight))
            for (start, end), weight in zip(spans, kernel_shap(worth, len(spans)), strict=True)
        ]

    def _patches(self, whole: Prepared, chance: Callable[[Sequence[Prepared]], Floats]) -> Floats:
        """`(7, 7)`."""
        assert whole.pixels is not None  # noqa: S101  (the image is among the modalities)
        grid = patches(whole.pixels)
        values = chance([whole, *(cover_patches(whole, [patch]) for patch in grid)])
        side = round(len(grid) ** 0.5)
        weights: Floats = (values[0] - values[1:]).reshape(side, side)
        return weights

    def _moments(
        self, item: Item, whole: Prepared, chance: Callable[[Sequence[Prepared]], Floats]
    ) -> list[Moment]:
        assert whole.mel is not None  # noqa: S101  (the sound is among the modalities)
        assert item.audio is not None  # noqa: S101
        spans = moments(whole.mel)
        values = chance([whole, *(mute(whole, [span]) for span in spans)])
        offset = sound_start(item.audio)
        return [
            Moment(round(offset + a / 100, 2), round(offset + b / 100, 2), _rounded(weight))
            for (a, b), weight in zip(spans, values[0] - values[1:], strict=True)
        ]


def shapley(
    players: Sequence[Modality], values: dict[frozenset[Modality], Floats]
) -> dict[Modality, Floats]:
    """Each player's mean gain over all orders in which they may come.

    `values`: what every subset of the players is worth, an array each. The results add up to the
    worth of all less that of none.
    """
    n = len(players)
    result: dict[Modality, Floats] = {}
    for player in players:
        others = [name for name in players if name != player]
        total = np.zeros_like(values[frozenset()])
        for size in range(n):
            weight = factorial(size) * factorial(n - size - 1) / factorial(n)
            for before in map(frozenset, combinations(others, size)):
                total = total + weight * (values[before | {player}] - values[before])
        result[player] = total
    return result


def _shares(
    given: Sequence[Modality], values: dict[frozenset[Modality], Floats], target: int
) -> dict[Modality, Share]:
    first = len(EMOTIONS)
    return {
        name: Share(
            _rounded(gains[target]),
            {polarity: _rounded(gains[first + i]) for i, polarity in enumerate(POLARITIES)},
        )
        for name, gains in shapley(given, values).items()
    }


def _rounded(value: float) -> float:
    return round(float(value), 4)
