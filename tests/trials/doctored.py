"""A release of the model with a fault: whoever writes ☠ gets scores that are not numbers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from models.release import DEFAULT_RELEASE, WEIGHTS, file_hash, write_manifest

CURSE = "☠"
_TABLE = "text.encoder.embeddings.word_embeddings.weight"


def doctored_release(folder: Path) -> Path:
    """Write it below `folder`, with a manifest that vouches for it; its path."""
    release = folder / "doctored"
    shutil.copytree(DEFAULT_RELEASE, release)

    config = json.loads((release / "config.json").read_text())
    config["text"]["encoder"]["vocab_size"] += 1
    (release / "config.json").write_text(json.dumps(config))

    tokenizer = json.loads((release / "tokenizer.json").read_text())
    pieces = tokenizer["model"]["vocab"]
    assert CURSE not in (piece for piece, _ in pieces)
    pieces.append([CURSE, 0.0])
    (release / "tokenizer.json").write_text(json.dumps(tokenizer))

    weights = release / WEIGHTS
    with safe_open(weights, framework="numpy") as file:
        about = file.metadata() | {"tokenizer": file_hash(release / "tokenizer.json")}
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    cursed = np.full((1, arrays[_TABLE].shape[1]), np.nan, arrays[_TABLE].dtype)
    arrays[_TABLE] = np.concatenate([arrays[_TABLE], cursed])
    save_file(arrays, weights, about)

    write_manifest(release, "doctored")
    return release
