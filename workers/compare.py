"""`compare`: every tower and fusion on the same posts, as a table on stdout and as a page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from models.compare import compare
from models.compare.page import markdown, read_page, write_page
from models.compare.recipe import CompareRecipe, read_compare_recipe
from models.compare.run import Places, Row, read_rows
from models.registry import find_release
from models.training.progress import reporter
from pipeline.settings import Settings
from workers.clean import clean


def print_comparison(
    settings: Settings,
    recipe: Path,
    data: Path,
    out: Path,
    *,
    page: Path | None,
    only: Sequence[str],
    finished: bool,
) -> None:
    """Make the rows that are missing, print all, and put them into `page` where one is given.

    With `finished` nothing is made. What is not made and stands in `page` stays there.

    Raises:
        ModelError: recipe, data, release or page are not what they should be.
    """

    old = "" if page is None else read_page(page)

    def show(plan: CompareRecipe, rows: list[Row]) -> None:
        if page is not None:
            write_page(page, markdown(plan, rows, old))

    places = Places(data, out, find_release(settings.release), clean)
    plan = read_compare_recipe(recipe)
    if not finished:
        with reporter() as report:
            compare(recipe, places, report, only=only, show=show)
    rows = read_rows(plan, out)
    show(plan, rows)
    print(markdown(plan, rows, old))
