"""The weights of a release: read only where they fit, before anything is allocated for them."""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from models.errors import ReleaseError
from models.fused import FusedModel
from models.labels import EMOTIONS, POLARITIES
from models.release import WEIGHTS, Config, file_hash

Shapes = dict[str, tuple[int, ...]]
LABELS = ",".join((*EMOTIONS, *POLARITIES))


def load_weights(config: Config, release: Path) -> FusedModel:
    """Build the model of `config` and read its weights.

    The header of the file (names, shapes, the tokenizer and the labels that it was trained with)
    is compared first, with a model that has shapes and no memory. Raises ReleaseError where it
    does not fit.
    """
    path = release / WEIGHTS
    with torch.device("meta"):
        model = FusedModel(config)
    wanted = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    try:
        with safe_open(path, framework="pt") as file:
            found = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
            said = file.metadata() or {}
        if fault := _difference(wanted, found) or _stranger(said, release):
            raise ReleaseError(f"{path} {fault}; fetch the release folder again")
        weights = {name: _widened(value) for name, value in load_file(path).items()}
    except (SafetensorError, OSError) as error:
        raise ReleaseError(
            f"{path} is no safetensors file ({error}); other formats can run code and are not read"
        ) from error
    model.load_state_dict(weights, assign=True)
    return model.requires_grad_(False).eval()


def save_weights(weights: Mapping[str, Tensor], release: Path) -> None:
    """Write them in half precision, bound to the labels and to the tokenizer of the folder."""
    halves = {
        key: (value.half() if value.is_floating_point() else value).contiguous()
        for key, value in weights.items()
    }
    bound = {"labels": LABELS, "tokenizer": file_hash(release / "tokenizer.json"), "format": "pt"}
    save_file(halves, release / WEIGHTS, bound)
    (release / WEIGHTS).chmod(0o644)


def _widened(value: Tensor) -> Tensor:
    return value.float() if value.is_floating_point() else value


def _difference(wanted: Shapes, found: Shapes) -> str | None:
    """The first way in which the tensors are not those of the config, in words."""
    if missing := sorted(wanted.keys() - found.keys()):
        return f"lacks {missing[0]}, which config.json asks for"
    if extra := sorted(found.keys() - wanted.keys()):
        return f"holds {extra[0]}, of which config.json knows nothing"
    for name, shape in wanted.items():
        if shape != found[name]:
            return f"holds {name} of the shape {found[name]}, config.json asks for {shape}"
    return None


def _stranger(said: dict[str, str], release: Path) -> str | None:
    """Whether the weights name other labels, or another tokenizer, than they now lie with."""
    if said.get("labels", LABELS) != LABELS:
        return f"was trained for other labels ({said['labels']})"
    tokenizer = file_hash(release / "tokenizer.json")
    if said.get("tokenizer", tokenizer) != tokenizer:
        return "was trained with another tokenizer than the tokenizer.json beside it"
    return None
