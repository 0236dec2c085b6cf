"""What a recipe says of the towers and fusions of one task."""

import msgspec

from models.classic.balance import Balance
from models.classic.family import FAMILY
from models.labels import Modality
from models.training.recipe import RecipeError


class TowerPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`rate`: peak learning rate of the tower (its classifier learns at 1e-3); `rows`: learn from
    a random choice of so many, 0 for all; `start`: file, folder or hub name of a checkpoint;
    `vectors`: a word2vec or GloVe text file; `size`: side of the picture in pixels."""

    epochs: int = 10
    rate: float = 1e-3
    rows: int = 0
    start: str = ""
    vectors: str = ""
    size: int = 64


class SuitePlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`towers`: by their name in the family; `fuse`: those that are fused, one a modality;
    `balance`: the loss for classes of unequal size, as in `models/classic/balance.py`."""

    towers: dict[str, TowerPlan]
    fuse: list[str] = []
    fusion: TowerPlan = TowerPlan()
    balance: Balance = "none"
    batch: int = 32
    modality_dropout: float = 0.2
    seed: int = 42


def check_plan(plan: SuitePlan, where: str) -> None:
    """Raises RecipeError where a tower is unknown or two of one modality are to be fused."""
    for name in (*plan.towers, *plan.fuse):
        if name not in FAMILY:
            raise RecipeError(
                f"{where}: no tower is called {name!r}; there are {', '.join(FAMILY)}"
            )
    for name in plan.fuse:
        if name not in plan.towers:
            raise RecipeError(f"{where}: {name!r} is to be fused and is not among the towers")
    kinds = [FAMILY[name].modality for name in plan.fuse]
    if len(set(kinds)) < len(kinds):
        raise RecipeError(f"{where}: fuse takes one tower a modality, it names {plan.fuse}")


def fused_by_modality(plan: SuitePlan) -> dict[Modality, str]:
    """The towers to fuse, by modality."""
    return {FAMILY[name].modality: name for name in plan.fuse}
