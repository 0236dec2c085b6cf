"""The image tower of any `transformers` vision encoder: ViT, DeiT, Swin, ConvNeXt, CLIP's, …

Dosovitskiy et al. 2020, "An Image is Worth 16x16 Words", arXiv:2010.11929.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from models.errors import ModelError
from models.towers.base import TowerOutput

Channels = tuple[float, float, float]
HALF: Channels = (0.5, 0.5, 0.5)


class ImageTransformer(nn.Module):
    """Pixels in, one vector a picture out: the mean of the encoder's states."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, encoder: nn.Module, mean: Channels = HALF, deviation: Channels = HALF):
        """`encoder`: takes `pixel_values`, gives `last_hidden_state` `(batch, tokens, dim)` or
        `(batch, dim, y, x)`; `mean` and `deviation` of the colours it was trained with, 0-1."""
        super().__init__()
        self.encoder = encoder
        config: Any = encoder.config
        sizes = getattr(config, "hidden_sizes", None)
        self.dim: int = sizes[-1] if sizes else config.hidden_size
        size = getattr(config, "image_size", None)
        self.size: int | None = size if isinstance(size, int) else None
        for name, values in (("mean", mean), ("deviation", deviation)):
            self.register_buffer(name, torch.tensor(values).view(3, 1, 1), persistent=False)

    @classmethod
    def start_from(cls, source: str) -> "ImageTransformer":
        """The encoder of a folder or hub name. Raises ModelError where there is none."""
        from transformers import AutoModel

        try:
            model = AutoModel.from_pretrained(source, dtype=torch.float32)
        except (OSError, ValueError) as error:
            raise ModelError(f"{source} gives no vision encoder: {error}") from error
        return cls(getattr(model, "vision_model", model), *_colours(Path(source)))

    @classmethod
    def untrained(cls, size: int, *, width: int = 128, layers: int = 4) -> "ImageTransformer":
        """A small ViT with random weights, for pictures of `size`, a multiple of 8."""
        from transformers import ViTConfig, ViTModel

        config = ViTConfig(
            hidden_size=width,
            num_hidden_layers=layers,
            num_attention_heads=4,
            intermediate_size=2 * width,
            image_size=size,
            patch_size=8,
        )
        return cls(ViTModel(config, add_pooling_layer=False))

    def encode(self, batch: Sequence[Tensor]) -> TowerOutput:
        """`batch`: uint8 pixels `(size, size, 3)`, all of one size; scaled to the encoder's."""
        x = torch.stack(list(batch)).permute(0, 3, 1, 2).float() / 255.0  # (batch, 3, y, x)
        if self.size and x.shape[-1] != self.size:
            x = interpolate(x, size=(self.size, self.size), mode="bilinear", antialias=True)
        x = (x - self.mean) / self.deviation
        states: Tensor = self.encoder(pixel_values=x).last_hidden_state
        if states.dim() == 4:
            states = states.flatten(2).transpose(1, 2)
        # (batch, tokens, dim)
        return TowerOutput(
            states.float().mean(dim=1), states.flatten(0, 1), [states.shape[1]] * len(batch)
        )


def _colours(folder: Path) -> tuple[Channels, Channels]:
    """Mean and deviation as the checkpoint's `preprocessor_config.json` gives them."""
    file = folder / "preprocessor_config.json"
    if not file.is_file():
        return HALF, HALF
    given = json.loads(file.read_bytes())
    return tuple(given.get("image_mean", HALF)), tuple(given.get("image_std", HALF))
