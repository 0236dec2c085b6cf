"""A release without towers for picture and sound."""

from pathlib import Path

import numpy as np
import pytest
import torch

from models.evaluation import evaluate
from models.fused import FusedModel
from models.labels import MODALITIES
from models.prediction import Prediction
from models.predictor import Predictor
from models.prepare import Item, Prepared, Preparer
from models.release import read_config, verify
from models.training import train
from models.training.features import Features
from tests.models.samples import flac, png
from tests.models.test_training import RECIPE, no_report
from tests.models.test_training import world as world  # noqa: PLC0414


@pytest.fixture(scope="module")
def release(world: Path) -> Path:
    """Trained by the recipe of the whole model without its sections for pictures and sound."""
    head, rest = RECIPE.split("[image]")
    recipe = head + "[fusion]" + rest.split("[fusion]")[1]
    (world / "text.toml").write_text(recipe.replace(', { name = "faces" }', ""))
    return train(world / "text.toml", world / "data", world / "text-only", True, report=no_report)


def test_the_manifest_promises_text_alone(release: Path) -> None:
    assert verify(release).modalities == ("text",)
    assert read_config(release).image is None
    assert list(FusedModel(read_config(release)).towers) == ["text"]


def test_what_cannot_be_read_counts_as_not_given(release: Path) -> None:
    predictor, preparer = Predictor.load(release, "cpu"), Preparer.load(release)
    items = [Item("so happy"), Item("so happy", png(), flac()), Item(None, png()), Item()]
    prepared = [item for item in preparer.prepare(items) if isinstance(item, Prepared)]
    pixels = np.zeros((32, 32, 3), np.uint8)
    answers = predictor.predict([*prepared, Prepared(prepared[0].tokens, pixels)])
    found = [answer for answer in answers if isinstance(answer, Prediction)]
    assert [answer.modalities for answer in found] == [("text",), ("text",), (), (), ("text",)]
    np.testing.assert_allclose(found[1].emotions, found[0].emotions, atol=1e-6)
    np.testing.assert_allclose(found[4].emotions, found[0].emotions, atol=1e-6)
    assert found[2].abstained


def test_its_card_and_scores(release: Path, world: Path) -> None:
    assert "posts" in evaluate(release, world / "data", "dev", ["posts"])
    card = (release / "card.md").read_text()
    assert "| posts | text, fusion | made up | **no** |" in card
    assert "Whisper" not in card


def test_its_features_are_read_back_whole(tmp_path: Path) -> None:
    place = {name: np.full(2, -1) for name in MODALITIES} | {"text": np.array([1, 0])}
    Features({"text": torch.rand(2, 4)}, place).save(tmp_path / "features.safetensors")
    found = Features.load(tmp_path / "features.safetensors")
    assert list(found.vectors) == ["text"]
    assert {name: rows.tolist() for name, rows in found.place.items()} == {
        "text": [1, 0],
        "image": [-1, -1],
        "audio": [-1, -1],
    }
