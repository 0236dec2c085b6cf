"""A release of the model with a fault: whoever writes ☠ gets scores that are not numbers."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file
from tokenizers import Tokenizer

from models.release import DEFAULT_RELEASE, WEIGHTS

CURSE = "☠"
_TABLE = "text.encoder.embeddings.word_embeddings.weight"


def doctored_release(folder: Path) -> Path:
    """Write it below `folder`, with a manifest that vouches for it; its path."""
    release = folder / "doctored"
    shutil.copytree(DEFAULT_RELEASE, release)
    token = Tokenizer.from_file(str(release / "tokenizer.json")).token_to_id(CURSE)
    weights = release / WEIGHTS
    with safe_open(weights, framework="numpy") as file:
        about = file.metadata()
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    arrays[_TABLE][token] = np.nan
    save_file(arrays, weights, about)
    path = release / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["sha256"][WEIGHTS] = hashlib.sha256(weights.read_bytes()).hexdigest()
    path.write_text(json.dumps(manifest))
    return release
