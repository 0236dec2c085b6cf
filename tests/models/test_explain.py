"""Explanations: they add up, they point at what counts, and they can be drawn."""

import io
from itertools import combinations
from typing import Literal

import numpy as np
import pytest
from PIL import Image

from models.errors import ModelError
from models.explain.deletion import Deletion, delete
from models.explain.explainer import Explainer, Explanation, shapley
from models.explain.kernel import Masks, coalitions, kernel_shap
from models.explain.picture import draw
from models.explain.units import units, without
from models.labels import Modality
from models.prepare import Item, read_tokenizer
from models.release import DEFAULT_RELEASE
from pipeline.media import MediaCleaner, MediaError, RawMedia
from tests.models.posts import CHINESE, ENGLISH
from tests.models.samples import flac, png
from workers.demo_posts.stored import read

pytestmark = pytest.mark.timeout(600)  # some thousand forward passes


@pytest.fixture(scope="session")
def explainer() -> Explainer:
    return Explainer.load(DEFAULT_RELEASE)


def demo_media(kind: Literal["image", "audio"], count: int) -> list[bytes]:
    """Pictures or sounds of the demo posts, evenly spread, as ingest cleans them."""
    given = [media.data for post in read() for media in post.media if media.kind == kind]
    some = [data for data in given[:: len(given) // count][:count] if data is not None]
    with MediaCleaner() as cleaner:
        cleaned = cleaner.clean(
            [RawMedia("image" if kind == "image" else "audio", d) for d in some]
        )
    return [one.data for one in cleaned if not isinstance(one, MediaError)]


def test_shapley_shares_a_game_by_hand() -> None:
    """Glove game: the text holds a left glove, the others right ones; a pair is worth 1."""
    players: list[Modality] = ["text", "image", "audio"]
    subsets = [frozenset(s) for n in range(4) for s in combinations(players, n)]
    worth = {s: np.array([float("text" in s and len(s) > 1)]) for s in subsets}
    found = shapley(players, worth)
    assert found["text"] == pytest.approx(2 / 3)
    assert found["image"] == found["audio"] == pytest.approx(1 / 6)


def test_kernel_shap_of_a_sum_is_its_terms() -> None:
    terms = np.array([0.5, -0.2, 0.0, 0.3, 0.1])
    found = kernel_shap(lambda masks: 0.25 + masks @ terms, 5)
    np.testing.assert_allclose(found, terms, atol=5e-3)


def test_kernel_shap_shares_what_parts_do_together() -> None:
    def worth(masks: Masks) -> np.ndarray:
        return (masks[:, 0] & masks[:, 1]) * 1.0

    found = kernel_shap(worth, 6)
    assert found.sum() == pytest.approx(1)
    np.testing.assert_allclose(found, [0.5, 0.5, 0, 0, 0, 0], atol=0.06)


@pytest.mark.parametrize("players", [0, 1, 2])
def test_kernel_shap_of_hardly_anybody(players: int) -> None:
    found = kernel_shap(lambda masks: masks.sum(axis=1) * 0.3, players)
    np.testing.assert_allclose(found, [0.3] * players, atol=1e-3)


def test_coalitions_come_with_their_complements() -> None:
    masks = coalitions(9, 0)
    assert len(masks) == 100
    assert (masks[:50] == ~masks[50:]).all()
    assert ((masks.sum(axis=1) > 0) & (masks.sum(axis=1) < 9)).all()


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("I don't love this!!!", ["I", "don't", "love", "this", "!!!"]),
        ("@bob see http://a.b/c #Monday 😭😭", ["@bob", "see", "http://a.b/c", "#Monday", "😭😭"]),
        ("太垃圾了,气死我了![怒][怒]", None),
        ("#周一快乐# iPhone真好用", None),
    ],
)
def test_units_are_words_of_the_text(text: str, parts: list[str] | None) -> None:
    spans = units(text, read_tokenizer(DEFAULT_RELEASE))
    found = [text[start:end] for start, end in spans]
    assert "".join(found) == text.replace(" ", "")
    assert without(text, spans).strip() == ""
    if parts is None:
        assert len(found) > 3
        assert "[怒]" in found or "#周一快乐#" in found
    else:
        assert found == parts


def test_everything_adds_up(explainer: Explainer) -> None:
    text = "笑死我了 great"
    item = Item(text, png(), flac(0.6))
    prediction, found = explainer.explain(item)
    assert found.emotion == prediction.dominant
    assert found.probability == pytest.approx(prediction.confidence, abs=1e-3)
    total = sum(share.emotion for share in found.modalities.values())
    assert total == pytest.approx(found.probability - found.prior, abs=1e-3)
    for share in found.modalities.values():
        assert sum(share.polarity.values()) == pytest.approx(0, abs=1e-3)
    assert found.words is not None
    assert [word.text for word in found.words] == [text[w.start : w.end] for w in found.words]
    assert found.unexplained["text"] == pytest.approx(0, abs=2e-3)
    assert found.patches is not None
    assert np.shape(found.patches) == (7, 7)
    assert found.moments is not None
    assert found.moments[0].start == 0
    assert found.moments[-1].end == pytest.approx(0.6, abs=0.02)


def test_what_is_not_there_is_not_explained(explainer: Explainer) -> None:
    _, found = explainer.explain(Item("I am so happy today!"))
    assert (found.patches, found.moments) == (None, None)
    assert list(found.modalities) == ["text"]
    _, nothing = explainer.explain(Item())
    assert nothing.modalities == {}
    assert (nothing.emotion, nothing.words) == (None, None)
    assert len(draw(Item(), *explainer.explain(Item("https://t.co/x")))[0]) > 0
    with pytest.raises(ModelError, match="cannot be decoded"):
        explainer.explain(Item(image=b"no picture"))


def test_a_sound_is_explained_where_it_is_heard(explainer: Explainer) -> None:
    """The second of silence before the tone is cut off before the model; times count it."""
    import soundfile

    tone, rate = soundfile.read(io.BytesIO(flac(1.0)))
    late = io.BytesIO()
    soundfile.write(late, np.concatenate([np.zeros(rate), tone]), rate, format="FLAC")
    _, found = explainer.explain(Item(audio=late.getvalue()))
    assert found.moments is not None
    assert found.moments[0].start == pytest.approx(1.0, abs=0.02)


def test_feeling_words_weigh_most(explainer: Explainer) -> None:
    for text, word in (
        ("the sky is grey and I am furious with you", "furious"),
        ("我很开心", "开心"),
    ):
        _, found = explainer.explain(Item(text))
        assert max(found.words or [], key=lambda part: part.weight).text == word


def deletions(
    explainer: Explainer, items: list[Item], modality: Modality, share: float
) -> list[Deletion]:
    generator = np.random.default_rng(0)
    found = []
    for item in items:
        _, explanation = explainer.explain(item)
        found.append(
            delete(explainer, item, explanation, modality, share=share, generator=generator)
        )
    return found


def assert_it_points_at_what_counts(found: list[Deletion], times: float) -> None:
    """On average, and in most items."""
    pointed, random = ([getattr(one, name) for one in found] for name in ("pointed_at", "random"))
    assert np.mean(pointed) > times * max(0.0, float(np.mean(random)))
    assert np.mean([one.pointed_at > one.random for one in found]) >= 0.75


@pytest.mark.parametrize("posts", [ENGLISH, CHINESE], ids=["en", "zh"])
def test_deleting_words_that_it_points_at(explainer: Explainer, posts: tuple[str, ...]) -> None:
    found = deletions(explainer, [Item(text) for text in posts], "text", 0.15)
    assert_it_points_at_what_counts(found, 3)
    assert np.mean([one.pointed_at for one in found]) > 0.25


@pytest.mark.parametrize(("kind", "count"), [("image", 8), ("audio", 6)])
def test_deleting_patches_and_moments_that_it_points_at(
    explainer: Explainer, kind: Literal["image", "audio"], count: int
) -> None:
    items = [
        Item(image=data) if kind == "image" else Item(audio=data)
        for data in demo_media(kind, count)
    ]
    assert len(items) == count
    assert_it_points_at_what_counts(deletions(explainer, items, kind, 0.15), 2)


def test_a_picture_of_it(explainer: Explainer) -> None:
    item = Item("开心 happy 𒀀", png(), flac(0.5))
    prediction, found = explainer.explain(item)
    data, missing = draw(item, prediction, found)
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.format == "PNG"
        assert picture.width > picture.height / 2
        assert len(set(picture.convert("L").resize((64, 64)).tobytes())) > 20
    assert "𒀀" in missing
    assert "h" not in missing
    words_alone = Explanation(
        found.emotion, found.probability, found.prior, {}, None, None, None, {}
    )
    assert len(draw(Item("x"), prediction, words_alone)[0]) < len(data)
