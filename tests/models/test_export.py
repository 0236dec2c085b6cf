"""The exported model says what the release says: `transformers`, ONNX, and the way back."""

import json
from pathlib import Path
from typing import cast

import numpy as np
import onnxruntime
import pytest
import torch
from transformers import AutoConfig, AutoModel, AutoTokenizer

from models.errors import ModelError
from models.export.graph import GRAPH, export_onnx
from models.export.hub import WeathervaneModel, export_transformers, register
from models.export.inputs import NAMES, collate
from models.fused import FusedModel
from models.labels import EMOTIONS, Modality
from models.prediction import Prediction, calibrated
from models.predictor import Predictor
from models.prepare import Item, Prepared, Preparer
from models.release import DEFAULT_RELEASE, read_config, verify
from models.weights import load_weights
from tests.models.samples import flac, png
from tests.models.tiny import make_release

ITEMS = [
    Item("I am so happy today!"),
    Item("气死我了,这家店太垃圾了", png()),
    Item(None, png(80, 1), flac()),
    Item(),
    Item("what a surprise " * 9, None, flac(0.705, 330)),
    Item("好", png(40, 2), flac(0.3)),
]


@pytest.fixture(scope="module")
def fused() -> FusedModel:
    """The shipped model in float32."""
    return load_weights(read_config(DEFAULT_RELEASE), DEFAULT_RELEASE)


@pytest.fixture(scope="module")
def prepared() -> list[Prepared]:
    return [p for p in Preparer.load(DEFAULT_RELEASE).prepare(ITEMS) if isinstance(p, Prepared)]


@pytest.fixture(scope="module")
def logits(fused: FusedModel, prepared: list[Prepared]) -> list[np.ndarray]:
    """Emotion and polarity logits of the packed pass."""
    with torch.inference_mode():
        return [part.numpy() for part in fused(fused.pool(prepared))]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("export") / "transformers"
    export_transformers(DEFAULT_RELEASE, out)
    return out


@pytest.fixture(scope="module")
def model(folder: Path) -> WeathervaneModel:
    register()
    register()
    found = AutoModel.from_pretrained(folder, dtype=torch.float32)
    assert isinstance(found, WeathervaneModel)
    found.eval()
    return found


def tensors(items: list[Prepared]) -> dict[str, torch.Tensor]:
    inputs = collate(items, read_config(DEFAULT_RELEASE))
    return {name: torch.from_numpy(value) for name, value in inputs.items()}


@torch.inference_mode()
def test_transformers_says_the_same(
    model: WeathervaneModel, prepared: list[Prepared], logits: list[np.ndarray]
) -> None:
    found = model(**tensors(prepared))
    np.testing.assert_allclose(found.emotion_logits.numpy(), logits[0], atol=1e-4)
    np.testing.assert_allclose(found.polarity_logits.numpy(), logits[1], atol=1e-4)


@torch.inference_mode()
def test_its_probabilities_are_calibrated_for_each_subset(
    model: WeathervaneModel, prepared: list[Prepared], logits: list[np.ndarray]
) -> None:
    found = model(**tensors(prepared))
    calibration = read_config(DEFAULT_RELEASE).calibration
    used: list[tuple[Modality, ...]] = [
        ("text",),
        ("text", "image"),
        ("image", "audio"),
        (),
        ("text", "audio"),
        ("text", "image", "audio"),
    ]
    for row, names in enumerate(used):
        spoken = (logits[0][row], logits[1][row])
        emotions, polarity = calibrated(*spoken, names, calibration)
        np.testing.assert_allclose(found.emotions[row].numpy(), emotions, atol=1e-4)
        np.testing.assert_allclose(found.polarity[row].numpy(), polarity, atol=1e-4)


@torch.inference_mode()
def test_a_modality_that_is_not_given_is_masked(
    model: WeathervaneModel, prepared: list[Prepared], logits: list[np.ndarray]
) -> None:
    tokens = AutoTokenizer.from_pretrained(model.name_or_path)("I am so happy today!")
    found = model(input_ids=torch.tensor([tokens["input_ids"]]))
    np.testing.assert_allclose(found.emotion_logits[0].numpy(), logits[0][0], atol=1e-4)
    with pytest.raises(ValueError, match="at least one of"):
        model()


def test_its_config_names_the_labels(folder: Path) -> None:
    register()
    config = AutoConfig.from_pretrained(folder)
    assert [config.id2label[i] for i in range(7)] == list(EMOTIONS)
    assert config.sections() == read_config(DEFAULT_RELEASE)
    assert json.loads((folder / "labels.json").read_text())["emotions"] == list(EMOTIONS)


def test_the_folder_is_a_release(folder: Path, predictor: Predictor) -> None:
    again = Predictor.load(folder, "cpu")
    assert again.name == predictor.name
    assert read_config(folder) == read_config(DEFAULT_RELEASE)
    [ready] = Preparer.load(folder).prepare(ITEMS[:1])
    assert isinstance(ready, Prepared)
    [one], [other] = predictor.predict([ready]), again.predict([ready])
    assert isinstance(one, Prediction)
    assert isinstance(other, Prediction)
    np.testing.assert_array_equal(one.emotions, other.emotions)
    assert verify(folder).use == verify(DEFAULT_RELEASE).use


@torch.inference_mode()
def test_saved_by_transformers_and_loaded_again(
    model: WeathervaneModel, tmp_path: Path, prepared: list[Prepared], logits: list[np.ndarray]
) -> None:
    model.save_pretrained(tmp_path)
    again = AutoModel.from_pretrained(tmp_path).eval()
    found = again(**tensors(prepared))
    np.testing.assert_allclose(found.emotion_logits.numpy(), logits[0], atol=1e-5)


@pytest.mark.timeout(600)
def test_onnx_says_the_same_for_any_batch(
    tmp_path: Path, fused: FusedModel, prepared: list[Prepared], logits: list[np.ndarray]
) -> None:
    export_onnx(DEFAULT_RELEASE, tmp_path)
    session = onnxruntime.InferenceSession(tmp_path / GRAPH)
    config = read_config(tmp_path)
    for first, last in ((0, 6), (0, 1), (3, 4), (1, 3)):
        found = session.run(None, collate(prepared[first:last], config))
        for one, other in zip(found, logits, strict=False):
            np.testing.assert_allclose(one, other[first:last], atol=1e-3)
        assert found[3].sum(axis=1) == pytest.approx(1, abs=1e-5)
    [again] = Preparer.read(tmp_path).prepare(ITEMS[1:2])
    assert isinstance(again, Prepared)
    np.testing.assert_array_equal(again.evidence, prepared[1].evidence)


@pytest.mark.timeout(300)
def test_onnx_of_text_alone(tmp_path: Path) -> None:
    release, out = make_release(tmp_path / "tiny", audio=True, ngrams=True), tmp_path / "graph"
    items = Preparer.load(release).prepare(
        [Item("so happy"), Item("气死我了", None, flac()), Item()]
    )
    ready = [item for item in items if isinstance(item, Prepared)]
    texts = [Prepared(tokens=item.tokens, evidence=item.evidence) for item in ready]
    export_onnx(release, out, ["text"])
    session = onnxruntime.InferenceSession(out / GRAPH)
    assert [given.name for given in session.get_inputs()] == list(NAMES["text"])
    inputs = collate(ready, read_config(out))
    assert inputs["evidence"].any(axis=1).tolist() == [False, True, False]
    found = session.run(None, {name: inputs[name] for name in NAMES["text"]})
    fused = load_weights(read_config(release), release)
    with torch.inference_mode():
        wanted = [part.numpy() for part in fused(fused.pool(texts))]
    for one, other in zip(found, wanted, strict=False):
        np.testing.assert_allclose(one, other, atol=1e-3)
    with pytest.raises(ModelError, match="has no tower for smell"):
        export_onnx(release, out, [cast("Modality", "smell")])
