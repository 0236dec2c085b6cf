"""A training state on disk, from which a killed run goes on to the same weights.

Everything is in one safetensors file, written beside its place, flushed to the disk and renamed,
so that a kill while saving, or a loss of power, leaves the previous one whole.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

MOMENTS = ("step", "exp_avg", "exp_avg_sq")


def save(
    path: Path,
    module: nn.Module,
    average: Sequence[Tensor],
    optimiser: torch.optim.AdamW,
    step: int,
) -> None:
    """Write weights, their running average, Adam's moments, the random state and the step."""
    tensors = {f"model/{name}": value for name, value in module.state_dict().items()}
    tensors |= {f"average/{index}": value for index, value in enumerate(average)}
    for index, parameter in enumerate(_parameters(optimiser)):
        for moment in MOMENTS if parameter in optimiser.state else ():
            tensors[f"adam/{index}/{moment}"] = optimiser.state[parameter][moment]
    tensors["random"] = torch.get_rng_state()
    if average[0].is_cuda:
        tensors["random-cuda"] = torch.cuda.get_rng_state(average[0].device)
    write_whole(tensors, path, {"step": str(step)})


def write_whole(
    tensors: Mapping[str, Tensor], path: Path, metadata: dict[str, str] | None = None
) -> None:
    """Write a safetensors file all at once: `path` is the old one or the new one, never a part."""
    partial = path.with_suffix(".partial")
    save_file({key: value.contiguous() for key, value in tensors.items()}, partial, metadata)
    _flush(partial)
    partial.replace(path)
    _flush(path.parent)


def _flush(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def load(
    path: Path, module: nn.Module, average: Sequence[Tensor], optimiser: torch.optim.AdamW
) -> int:
    """Put back what `save` wrote, in place, and return the step."""
    with safe_open(path, framework="pt") as file:
        keys = set(file.keys())
        module.load_state_dict(
            {key[6:]: file.get_tensor(key) for key in keys if key.startswith("model/")}
        )
        for index, value in enumerate(average):
            value.copy_(file.get_tensor(f"average/{index}"))
        for index, parameter in enumerate(_parameters(optimiser)):
            if f"adam/{index}/step" in keys:
                optimiser.state[parameter] = {
                    moment: file.get_tensor(f"adam/{index}/{moment}").to(parameter.device)
                    for moment in MOMENTS
                }
        torch.set_rng_state(file.get_tensor("random"))
        if average[0].is_cuda and "random-cuda" in keys:
            torch.cuda.set_rng_state(file.get_tensor("random-cuda"), average[0].device)
        return int(file.metadata()["step"])


def _parameters(optimiser: torch.optim.AdamW) -> list[Tensor]:
    return [parameter for group in optimiser.param_groups for parameter in group["params"]]
