"""What a release may be used for follows from the licences of its recipe."""

from pathlib import Path

import pytest

from models.training.licences import corpora, is_permissive, use_of
from models.training.recipe import read_recipe

RECIPES = Path(__file__).parents[2] / "recipes"


@pytest.mark.parametrize("name", ["fused-joint", "fused-open"])
def test_every_corpus_states_its_licence(name: str) -> None:
    plan = read_recipe(RECIPES / f"{name}.toml")
    assert corpora(plan).keys() <= plan.licences.keys()


def test_the_open_recipe_is_for_commercial_use_and_the_other_is_not() -> None:
    assert use_of(read_recipe(RECIPES / "fused-open.toml")) == "commercial"
    assert use_of(read_recipe(RECIPES / "fused-joint.toml")) == "research"


@pytest.mark.parametrize(
    ("licence", "expected"),
    [
        ("Apache-2.0", True),
        ("Apache-2.0 (upstream CC BY 4.0)", True),
        ("CC BY 4.0", True),
        ("MIT", True),
        ("CC BY-NC 4.0", False),
        ("CC BY-NC-SA 4.0", False),
        ("CC BY-SA 4.0", False),
        ("labels MIT; pixels, research use", False),
        ("MIT, research use", False),
        ("research use", False),
        ("", False),
    ],
)
def test_licences(licence: str, expected: bool) -> None:
    assert is_permissive(licence) is expected
