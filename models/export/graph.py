"""The released model as one ONNX graph, with a batch of any size."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.export import Dim

from models.errors import ModelError
from models.export.inputs import NAMES, Inputs, collate
from models.export.padded import OUTPUTS, PaddedModel
from models.labels import EMOTIONS, MODALITIES, POLARITIES, Modality
from models.prepare import Prepared
from models.release import NGRAMS, Config, read_config, verify, write_json
from models.weights import load_weights

GRAPH = "model.onnx"
OPSET = 20
MOVES = {"input_ids": 1, "attention_mask": 1, "input_features": 2}  # the axis of any length


def export_onnx(release: Path, out: Path, only: Sequence[Modality] = ()) -> None:
    """Write `out/model.onnx`, float32, beside its tokenizer, config, labels and thresholds.

    Inputs: `models.export.inputs`; outputs: logits and calibrated probabilities, `OUTPUTS`. With
    `only` the graph has those of the towers and takes their inputs alone: one for text spends
    nothing on pictures that are not there.

    Raises:
        ReleaseError: the release cannot be trusted.
        ModelError: it has no such tower, or the packages of the extra `train` are missing.
    """
    try:
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ModelError(
            "ONNX is not installed: pip install onnx onnxruntime onnxscript"
        ) from error
    verify(release)
    config = read_config(release)
    wanted = [name for name in config.modalities if not only or name in only]
    if absent := set(only) - set(wanted):
        raise ModelError(f"{release} has no tower for {', '.join(sorted(absent))}")
    fused = load_weights(config, release)
    fused.fusion.columns = [MODALITIES.index(name) for name in wanted]
    out.mkdir(parents=True, exist_ok=True)
    _write(PaddedModel(fused, config.calibration).eval(), _example(config, wanted), out / GRAPH)
    for name in ("tokenizer.json", *([NGRAMS] if config.text.ngrams else [])):
        shutil.copyfile(release / name, out / name)
    write_json(out / "config.json", config)
    labels = {"emotions": EMOTIONS, "polarities": POLARITIES, "inputs": wanted}
    write_json(out / "labels.json", labels | {"thresholds": config.calibration.thresholds})


def _write(model: PaddedModel, example: Inputs, path: Path) -> None:
    batch = Dim("batch", min=1, max=4096)
    lengths = {1: Dim("time", min=1, max=512), 2: Dim("frames", min=2, max=1500)}
    shapes: dict[str, Any] = {}
    for name in example:
        shapes[name] = {0: batch}
        if name in MOVES:
            shapes[name][MOVES[name]] = lengths[MOVES[name]]
    torch.onnx.export(
        model,
        kwargs={name: torch.from_numpy(value) for name, value in example.items()},
        f=path,
        dynamo=True,
        dynamic_shapes=shapes,
        input_names=list(example),
        output_names=list(OUTPUTS),
        opset_version=OPSET,
        external_data=False,
        verbose=False,
    )


def _example(config: Config, wanted: Sequence[Modality]) -> Inputs:
    """A batch of three, so that no axis has a length that would be taken for fixed."""
    size = config.image.size if config.image else 0
    item = Prepared(
        np.arange(5, dtype=np.int32),
        np.zeros((size, size, 3), np.uint8),
        np.zeros((80, 46), np.float16),
    )
    inputs = collate([item, Prepared(), item], config)
    names = [name for modality in wanted for name in NAMES[modality]]
    return {name: inputs[name] for name in names if name in inputs}
