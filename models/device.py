"""Which device computes, and which number format it multiplies fastest."""

import time
from pathlib import Path

import torch

from models.errors import ModelError


def available(device: str = "auto") -> torch.device:
    """The device of this name: "cpu", "cuda", or "auto" for the latter where there is one.

    Raises ModelError for "cuda" where torch finds no GPU.
    """
    found = torch.cuda.is_available()
    if device == "auto":
        device = "cuda" if found else "cpu"
    if device.startswith("cuda") and not found:
        raise ModelError("torch finds no GPU here: set the device to cpu, or to auto")
    return torch.device(device)


def fastest_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 if a small matrix product runs faster in it than in float32, else float32.

    Processors differ by two orders of magnitude here (AMX and AVX512-BF16 against AVX2), so the
    answer is measured: about 20 ms. On a GPU it is bfloat16, in which its attention runs packed.
    """
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(False) else torch.float32
    times = {dtype: _seconds(dtype) for dtype in (torch.float32, torch.bfloat16)}
    faster = times[torch.bfloat16] < 0.8 * times[torch.float32]
    return torch.bfloat16 if faster else torch.float32


def settled_dtype(run: Path, device: torch.device) -> torch.dtype:
    """The answer of `fastest_dtype`, measured once for the run in this folder and kept there.

    A run that goes on must do so in the number format that it began with, even where a busy
    machine would measure otherwise.
    """
    path = run / "number-format"
    if not path.is_file():
        fastest = fastest_dtype(device)
        path.write_text(str(fastest).removeprefix("torch."), encoding="utf-8")
    kept: torch.dtype = getattr(torch, path.read_text(encoding="utf-8"))
    return kept


def _seconds(dtype: torch.dtype) -> float:
    left = torch.ones(256, 384, dtype=dtype)
    right = torch.ones(384, 1536, dtype=dtype)
    best = float("inf")
    for _ in range(4):
        start = time.perf_counter()
        float((left @ right)[0, 0])
        best = min(best, time.perf_counter() - start)
    return best
