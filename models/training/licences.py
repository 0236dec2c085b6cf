"""What the licences of a recipe's corpora allow the weights to be used for."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from models.release import Use, verify
from models.training.recipe import Corpus, Recipe, RecipeError

# A licence as recipes write it: its name, then perhaps a remark in brackets.
PERMISSIVE: Final = re.compile(r"(Apache-2\.0|MIT|BSD|CC0|CC BY [34]\.0)( \([^)]*\))?")


def corpora(plan: Recipe) -> dict[str, list[str]]:
    """Every corpus that some weight learns from, by name, with what for."""
    parts: dict[str, list[str]] = {
        "reading": plan.text.reading.corpora if plan.text.reading else [],
        "text": _names(plan.text.corpora),
        "n-grams": _names(plan.text.ngrams.corpora) if plan.text.ngrams else [],
        "image": _names(plan.image.corpora) if plan.image else [],
        "audio": _names(plan.audio.corpora) if plan.audio else [],
        "fusion": _names(plan.fusion.corpora),
    }
    found: dict[str, list[str]] = {}
    for part, chosen in parts.items():
        for name in chosen:
            found.setdefault(name, []).append(part)
    return dict(sorted(found.items()))


def _names(chosen: Sequence[Corpus]) -> list[str]:
    return [corpus.name for corpus in chosen]


def is_permissive(licence: str) -> bool:
    """Whether it is Apache-2.0, MIT, BSD, CC0 or CC BY, and nothing besides."""
    return PERMISSIVE.fullmatch(licence) is not None


def use_of(plan: Recipe) -> Use:
    """The use "commercial" if every corpus is permissively licensed, else "research"."""
    stated = (plan.licences.get(name, "") for name in corpora(plan))
    return "commercial" if all(map(is_permissive, stated)) else "research"


def refuse_narrower(plan: Recipe, name: str, release: Path) -> None:
    """Raises RecipeError where a recipe for commercial use would learn from the run `name`, whose
    `release` is for research only; ReleaseError for a release that is not whole."""
    if use_of(plan) == "commercial" and verify(release).use == "research":
        raise RecipeError(
            f"{name} is for research only, the corpora of {plan.name} are not: name another"
        )
