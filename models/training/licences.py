"""What the licences of a recipe's corpora allow the weights to be used for."""

import re
from typing import Final

from models.release import Use
from models.training.recipe import Corpus, Recipe

# A licence as recipes write it: its name, then perhaps a remark in brackets.
PERMISSIVE: Final = re.compile(r"(Apache-2\.0|MIT|BSD|CC0|CC BY [34]\.0)( \([^)]*\))?")


def corpora(plan: Recipe) -> dict[str, list[str]]:
    """Every corpus that some weight learns from, by name, with what for."""
    parts: dict[str, list[Corpus]] = {"text": plan.text.corpora}
    parts |= {"image": plan.image.corpora} if plan.image else {}
    parts |= {"audio": plan.audio.corpora} if plan.audio else {}
    parts |= {"fusion": plan.fusion.corpora}
    found: dict[str, list[str]] = {}
    for part, chosen in parts.items():
        for corpus in chosen:
            found.setdefault(corpus.name, []).append(part)
    return dict(sorted(found.items()))


def is_permissive(licence: str) -> bool:
    """Whether it is Apache-2.0, MIT, BSD, CC0 or CC BY, and nothing besides."""
    return PERMISSIVE.fullmatch(licence) is not None


def use_of(plan: Recipe) -> Use:
    """The use "commercial" if every corpus is permissively licensed, else "research"."""
    stated = (plan.licences.get(name, "") for name in corpora(plan))
    return "commercial" if all(map(is_permissive, stated)) else "research"
