"""The deletion test of an explanation (Petsiuk et al. 2018): is what it points at what counts?

The parts with the highest weights are deleted; the probability must fall further than when as
many parts are deleted at random.
"""

from collections.abc import Callable, Sequence

import msgspec
import numpy as np

from models.explain.explainer import Explainer, Explanation
from models.explain.media import cover_patches, moments, mute, patches
from models.explain.units import without
from models.labels import EMOTIONS, Modality
from models.prepare import Item, Prepared

DRAWS = 4  # random deletions to compare with


class Deletion(msgspec.Struct, frozen=True):
    """How far the probability falls: without the top parts, and on average without random ones."""

    pointed_at: float
    random: float


def delete(
    explainer: Explainer,
    item: Item,
    explanation: Explanation,
    modality: Modality,
    *,
    share: float,
    generator: np.random.Generator,
) -> Deletion:
    """Delete this share of the parts of one modality, at least one.

    Words are cut out, patches covered, moments muted. Raises ModelError where the item cannot be
    scored, ValueError where the explanation has nothing on the modality.
    """
    [whole] = explainer.prepare([item])
    weights, without_parts = _parts(explainer, item, whole, explanation, modality)
    count = max(1, round(share * len(weights)))
    chosen = [np.argsort(-np.array(weights))[:count]]
    chosen += [generator.permutation(len(weights))[:count] for _ in range(DRAWS)]
    if explanation.emotion is None:
        raise ValueError("nothing of the item was read: there is nothing to delete")
    target = EMOTIONS.index(explanation.emotion)
    asked = [whole, *(without_parts(places.tolist()) for places in chosen)]
    full, top, *rest = explainer.chances(asked)[:, target].tolist()
    return Deletion(full - top, full - float(np.mean(rest)))


def _parts(
    explainer: Explainer,
    item: Item,
    whole: Prepared,
    explanation: Explanation,
    modality: Modality,
) -> tuple[list[float], Callable[[Sequence[int]], Prepared]]:
    """The weights of the parts, and the item without some of them."""
    if modality == "text" and explanation.words is not None:
        spans = explainer.units(item.text or "")

        def retell(gone: Sequence[int]) -> Prepared:
            text = without(item.text or "", [spans[i] for i in gone])
            return explainer.retold(whole, [text])[0]

        return [word.weight for word in explanation.words], retell
    if explanation.patches is not None and whole.pixels is not None and modality == "image":
        grid = patches(whole.pixels)
        weights = [weight for row in explanation.patches for weight in row]
        return weights, lambda gone: cover_patches(whole, [grid[i] for i in gone])
    if explanation.moments is not None and whole.mel is not None and modality == "audio":
        times = moments(whole.mel)
        weights = [moment.weight for moment in explanation.moments]
        return weights, lambda gone: mute(whole, [times[i] for i in gone])
    raise ValueError(f"the explanation says nothing of {modality}")
