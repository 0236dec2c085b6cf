"""The comparison on made-up corpora: rows, what is kept, what is made anew, and the page."""

import os
from pathlib import Path

import msgspec
import numpy as np
import pytest

from models.classic.posts import Posts, emotion_posts
from models.compare import compare
from models.compare.page import BEGIN, END, markdown, scores, write_page
from models.compare.recipe import read_compare_recipe
from models.compare.run import Places, Row, read_rows
from models.compare.timing import milliseconds
from models.corpora import read_split
from models.errors import ModelError
from models.release import DEFAULT_RELEASE
from models.training.recipe import RecipeError
from tests.models.samples import flac, png
from tests.models.test_training import WORDS, row, write

RECIPE = """
kind = "compare"
timed = 3
[[task]]
name = "posts"
title = "Posts"
corpus = [{ name = "posts" }]
held_out = 0.2
words = true
[task.suite.towers]
text-cnn = { epochs = 4, rate = 1e-2 }
[[task]]
name = "composites"
title = "Composites"
corpus = [{ name = "posts" }, { name = "faces" }, { name = "voices" }]
held_out = 0.3
composites = 12
dev_composites = 5
[task.suite]
fuse = ["text-cnn", "image-cnn", "audio-lstm"]
fusion = { epochs = 2 }
[task.suite.towers]
text-cnn = { epochs = 2, rate = 1e-2 }
image-cnn = { epochs = 1, size = 16 }
audio-lstm = { epochs = 1 }
"""


def no_report(stage: str, step: int, steps: int, loss: float) -> None:
    """Say nothing."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished comparison in `out`, with its recipe and corpora beside it."""
    root = tmp_path_factory.mktemp("compare")
    (root / "recipe.toml").write_text(RECIPE)
    for split, count in (("train", 80), ("dev", 20)):
        kinds = list(WORDS) * (count // 4)
        base = 1000 * (split == "dev")
        text = [row(base + n, kind, text=True) for n, kind in enumerate(kinds)]
        faces = [row(base + n, kind, image=png(16, n)) for n, kind in enumerate(kinds)]
        voices = [row(base + n, kind, audio=flac(0.2, 200 + n)) for n, kind in enumerate(kinds)]
        for name, rows in (("posts", text), ("faces", faces), ("voices", voices)):
            write(root, name, split, rows)
    compare(root / "recipe.toml", places(root), no_report)
    return root


def places(root: Path) -> Places:
    return Places(root / "data", root / "out", DEFAULT_RELEASE)


def found(root: Path) -> dict[str, Row]:
    rows = read_rows(read_compare_recipe(root / "recipe.toml"), root / "out")
    return {f"{each.task}/{each.name}": each for each in rows}


def test_every_model_has_a_row_on_the_same_posts(made: Path) -> None:
    rows = found(made)
    assert list(rows) == [
        *(f"posts/{name}" for name in ("majority", "tf-idf", "text-cnn", "released")),
        *(f"composites/{name}" for name in ("majority", "text-cnn", "image-cnn", "audio-lstm")),
        *(f"composites/{name}" for name in ("feature-fusion", "model-sum", "model-weighted")),
        *(f"composites/{name}" for name in ("data-fusion", "released")),
    ]
    for task in ("posts", "composites"):
        mine = [each for each in rows.values() if each.task == task]
        assert all(len(each.predicted) == 20 for each in mine)
        assert len({tuple(each.actual) for each in mine}) == 1
    assert all(each.milliseconds or each.name == "majority" for each in rows.values())
    assert rows["posts/released"].parameters > 20e6
    for name in ("tf-idf", "text-cnn"):
        assert scores(rows[f"posts/{name}"])["accuracy"].value > 0.9


def test_finished_rows_are_kept_and_one_can_be_made_anew(made: Path) -> None:
    files = {file: file.stat().st_mtime_ns for file in (made / "out").rglob("*.*")}
    compare(made / "recipe.toml", places(made), no_report)
    assert {file: file.stat().st_mtime_ns for file in files} == files
    anew = made / "out" / "posts" / "rows" / "released.json"
    os.utime(anew, ns=(0, 0))
    compare(made / "recipe.toml", places(made), no_report, only=["posts/released"])
    assert anew.stat().st_mtime_ns > 0
    weights = made / "out" / "posts" / "text-cnn.safetensors"
    assert weights.stat().st_mtime_ns == files[weights]
    with pytest.raises(RecipeError, match="no task and no model is called relaesed"):
        compare(made / "recipe.toml", places(made), no_report, only=["relaesed"])


def test_the_page_holds_the_tables_between_its_markers(made: Path, tmp_path: Path) -> None:
    plan = read_compare_recipe(made / "recipe.toml")
    tables = markdown(plan, list(found(made).values()))
    assert "### Composites" in tables
    assert "| **released model** |" in tables
    assert "Not run yet" not in tables
    some = markdown(plan, [found(made)["posts/majority"]])
    assert "Not run yet: tf-idf, text-cnn, released." in some
    assert "Composites" not in some
    assert (
        "| fusion | text | image | audio | text+image | text+audio | image+audio | all |" in tables
    )
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    write_page(page, tables)
    write_page(page, tables)
    content = page.read_text()
    assert content.startswith(f"before\n{BEGIN}\n\n### Posts")
    assert content.endswith(f"{END}\nafter\n")
    assert "old" not in content
    page.write_text("nothing")
    with pytest.raises(ModelError, match="has no place for the tables"):
        write_page(page, tables)


def test_what_is_not_made_stays_as_it_stands_in_the_page(made: Path) -> None:
    plan, rows = read_compare_recipe(made / "recipe.toml"), found(made)
    page = f"{BEGIN}\n\n{markdown(plan, list(rows.values()))}\n\n{END}"
    assert markdown(plan, [], page) == page.removeprefix(BEGIN).removesuffix(END).strip()
    one = rows["composites/released"]
    changed = markdown(plan, [msgspec.structs.replace(one, parameters=1_234)], page)
    differing = [
        (new, old)
        for new, old in zip(changed.splitlines(), page.splitlines()[2:-2], strict=True)
        if new != old
    ]
    assert len(differing) == 1
    assert differing[0][0].startswith("| **released model** | 1,234 |")


def test_no_fusion_comes_without_subsets_and_no_dev_text_is_learnt(made: Path) -> None:
    rows = found(made)
    fused = [each for each in rows.values() if each.subsets]
    assert {each.name for each in fused} == {
        *("feature-fusion", "model-sum", "model-weighted", "data-fusion")
    }
    assert rows["posts/text-cnn"].rows < 80


def test_a_side_without_rows_keeps_the_classes(made: Path) -> None:
    rows = read_split(made / "data", "posts", "train")
    nothing = emotion_posts(rows.take(np.zeros(0, np.int64)), ("anger", "joy"))
    assert (len(nothing), nothing.classes) == (0, ("anger", "joy"))


def test_models_take_turns_and_the_first_post_only_warms_up() -> None:
    posts = Posts(["a", "b", "c"], [None] * 3, [None] * 3, np.zeros(3, np.int64), ("x", "y"))
    order: list[str] = []

    def ask(name: str, post: Posts) -> None:
        order.append(f"{name}{post.texts[0]}")

    taken = milliseconds({"m": lambda p: ask("m", p), "n": lambda p: ask("n", p)}, posts)
    assert order == ["ma", "na", "mb", "nb", "mc", "nc"]
    assert set(taken) == {"m", "n"}


def test_the_shipped_recipe_is_well_formed() -> None:
    plan = read_compare_recipe(Path(__file__).parents[2] / "recipes" / "compare.toml")
    assert [task.name for task in plan.task] == [
        *("text-en", "text-zh", "text-image", "face", "speech", "composites")
    ]
