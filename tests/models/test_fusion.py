import torch

from models.fusion import Fusion
from models.labels import MODALITIES
from models.release import FusionConfig

DIMS = {"text": 8, "image": 12, "audio": 10}


def make() -> Fusion:
    torch.manual_seed(0)
    return Fusion(FusionConfig(width=16, heads=2, layers=2), DIMS).eval()


def vectors(rows: int) -> dict[str, torch.Tensor]:
    return {name: torch.randn(rows, dim) for name, dim in DIMS.items()}


@torch.no_grad()
def test_what_is_missing_is_not_looked_at() -> None:
    fusion, pooled = make(), vectors(7)
    # Every subset but the full one.
    present = torch.tensor([[bool(row >> bit & 1) for bit in range(3)] for row in range(7)])
    other = {
        name: torch.where(present[:, i, None], pooled[name], torch.randn(7, DIMS[name]) * 9)
        for i, name in enumerate(MODALITIES)
    }
    for one, two in zip(fusion(pooled, present), fusion(other, present), strict=True):
        torch.testing.assert_close(one, two)


@torch.no_grad()
def test_what_is_there_counts() -> None:
    fusion, pooled = make(), vectors(1)
    subsets = torch.tensor([[bool(n >> bit & 1) for bit in range(3)] for n in range(8)])
    many = {name: value.expand(8, -1) for name, value in pooled.items()}
    emotions, polarity = fusion(many, subsets)
    assert len(torch.unique(emotions.round(decimals=5), dim=0)) == 8
    assert emotions.isfinite().all()
    assert polarity.isfinite().all()
