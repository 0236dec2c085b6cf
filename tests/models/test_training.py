"""A whole run on a handful of made-up posts: stages, resuming, the release that comes out."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from transformers import BertConfig, BertModel

from models.corpora import read_texts
from models.evaluation import Model, ask, evaluate
from models.labels import EMOTIONS
from models.predictor import Predictor
from models.release import verify
from models.training import loop, train
from models.training.data import plain_texts, split_train
from models.training.job import Job
from models.training.licences import corpora
from models.training.recipe import RecipeError, find_start, read_recipe
from models.training.run import STAGES
from models.training.teachers import Lessons, learn
from tests.models.samples import flac, png

WORDS = {"anger": "furious", "joy": "happy", "sadness": "crying", "neutral": "meeting"}
RECIPE = """
name = "tiny"
seed = 3
held_out = 0.3
dev = ["posts", "faces", "voices"]
[text]
start = "tiny-bert"
layers = [0]
tokens_per_batch = 60
fit = { epochs = 1, rate = 1e-3 }
corpora = [{ name = "posts" }]
[image]
size = 32
rows_per_batch = 4
fit = { epochs = 1 }
corpora = [{ name = "faces" }]
[audio]
width = 32
heads = 2
ffn = 64
layers = 1
frames_per_batch = 200
fit = { epochs = 1 }
corpora = [{ name = "voices" }]
[fusion]
shape = { width = 16, heads = 2, layers = 1 }
rows_per_batch = 16
composites = 40
multi = ["posts"]
fit = { epochs = 2, rate = 1e-3 }
corpora = [{ name = "posts" }, { name = "faces" }, { name = "voices" }]
[licences]
posts = "made up"
"""


def no_report(stage: str, step: int, steps: int, loss: float) -> None:
    """Say nothing."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recipe, data and a starting checkpoint in one folder."""
    root = tmp_path_factory.mktemp("world")
    (root / "recipe.toml").write_text(RECIPE)
    words = ["<pad>", "<unk>", "<s>", "</s>", "so", "today", *WORDS.values()]
    tokenizer = Tokenizer(WordLevel({word: n for n, word in enumerate(words)}, "<unk>"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 2), ("</s>", 3)]
    )
    bert = BertConfig(
        vocab_size=len(words),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
    )
    start = root / "weights" / "tiny-bert"
    BertModel(bert, add_pooling_layer=False).save_pretrained(start)
    tokenizer.save(str(start / "tokenizer.json"))
    for split, count in (("train", 48), ("dev", 12)):
        kinds = list(WORDS) * (count // 4)
        write(root, "posts", split, [row(n, kind, text=True) for n, kind in enumerate(kinds)])
        write(
            root, "faces", split, [row(n, kind, image=png(24, n)) for n, kind in enumerate(kinds)]
        )
        write(
            root,
            "voices",
            split,
            [row(n, kind, audio=flac(0.2, 200 + 9 * n)) for n, kind in enumerate(kinds)],
        )
    return root


@pytest.fixture(scope="module")
def teacher(world: Path) -> Path:
    """A release to learn from."""
    return run(world, "teacher")


def row(
    number: int,
    kind: str,
    text: bool = False,
    image: bytes | None = None,
    audio: bytes | None = None,
) -> dict[str, object]:
    return {
        "id": str(number),
        "text": f"so {WORDS[kind]} today {number}" if text else None,
        "image": {"bytes": image, "path": None} if image else None,
        "audio": {"bytes": audio, "path": None} if audio else None,
        "emotions": {name: float(name == kind) for name in EMOTIONS},
        "polarity": None,
        "group": None if text else f"g{number}",
    }


def write(root: Path, name: str, split: str, rows: list[dict[str, object]]) -> None:
    path = root / "data" / name / f"{split}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    media = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.Table.from_pylist(rows)
    for column in ("image", "audio"):
        index = table.schema.get_field_index(column)
        table = table.set_column(index, column, table[column].cast(media))
    pq.write_table(table, path)


def run(world: Path, out: str, stages: Sequence[str] = STAGES) -> Path:
    recipe = world / "recipe.toml"
    return train(recipe, world / "data", world / out, True, stages=stages, report=no_report)


class Killed(Exception):
    """Stands for the end of the process."""


def test_a_run_ends_in_a_release_that_loads(world: Path) -> None:
    release = run(world, "whole")
    assert Predictor.load(release).name.startswith("tiny@")
    scores = evaluate(release, world / "data", "dev")
    assert set(scores) == {"posts", "faces", "voices"}
    assert scores["posts"]["rows"] == 12
    card = (release / "card.md").read_text()
    assert "| posts | none | 12 |" in card
    assert "| posts | text, fusion | made up | **no** |" in card
    for heading in ("Calibration", "Risk and coverage", "Known failures", "Time and energy"):
        assert f"## {heading}\n" in card
    assert verify(release).use == "research"


@pytest.mark.parametrize("stage", ["text", "image", "audio"])
def test_a_run_that_was_killed_ends_in_the_same_weights(
    world: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    def die_at_three(stage: str, step: int, steps: int, loss: float) -> None:
        if step == 3:
            raise Killed

    monkeypatch.setattr(loop, "SAVE_EVERY", 0.0)
    run(world, f"straight-{stage}", stages=[stage])
    with pytest.raises(Killed):
        train(
            world / "recipe.toml",
            world / "data",
            world / f"broken-{stage}",
            True,
            stages=[stage],
            report=die_at_three,
        )
    assert not (world / f"broken-{stage}" / stage / "tower.safetensors").exists()
    run(world, f"broken-{stage}", stages=[stage])
    straight, broken = (
        load_file(world / f"{kind}-{stage}" / stage / "tower.safetensors")
        for kind in ("straight", "broken")
    )
    for name, value in straight.items():
        np.testing.assert_array_equal(value.numpy(), broken[name].numpy(), err_msg=name)


def test_a_student_learns_what_its_teachers_say(world: Path, teacher: Path) -> None:
    recipe = world / "taught.toml"
    lesson = '[[text.teachers]]\nrelease = "teacher/release"\ncorpora = ["posts"]\n[image]'
    recipe.write_text(
        RECIPE.replace("[text]", "[text]\ntaught = 1.0").replace("[image]", lesson, 1)
    )
    plan = read_recipe(recipe)
    rows, _ = split_train(world / "data", plan.text.corpora, plan.dev, plan.held_out, plan.seed)
    out = world / "student"
    train(recipe, world / "data", out, True, stages=["text"], report=no_report)
    lessons = learn(Job(plan, world / "data", out, torch.device("cpu"), no_report), rows)
    said = ask(Model.load(teacher), rows)
    np.testing.assert_allclose(lessons.emotions, said.emotions, atol=1e-6)
    np.testing.assert_allclose(lessons.polarity, said.polarity, atol=1e-6)
    student, alone = (
        load_file(world / name / "text" / "tower.safetensors") for name in ("student", "teacher")
    )
    assert any(not torch.equal(value, alone[name]) for name, value in student.items())


@pytest.mark.usefixtures("teacher")
def test_a_teacher_of_posts_that_are_not_learnt_from_is_refused(world: Path) -> None:
    recipe = world / "mistaught.toml"
    lesson = '[[text.teachers]]\nrelease = "teacher/release"\ncorpora = ["faces"]\n[image]'
    recipe.write_text(RECIPE.replace("[image]", lesson, 1))
    with pytest.raises(RecipeError, match="teach faces, of which the text tower has no rows"):
        train(recipe, world / "data", world / "mistaught", True, report=no_report)


@pytest.mark.usefixtures("teacher")
def test_a_teacher_for_research_does_not_teach_for_commerce(world: Path) -> None:
    recipe = world / "free.toml"
    lesson = '[[text.teachers]]\nrelease = "teacher/release"\ncorpora = ["posts"]\n[fusion]'
    towers, rest = RECIPE.split("[image]", maxsplit=1)[0], RECIPE.split("[fusion]")[1]
    rest = rest.replace(', { name = "faces" }, { name = "voices" }', "").replace("made up", "MIT")
    recipe.write_text(towers + lesson + rest)
    with pytest.raises(RecipeError, match="teacher/release is for research only"):
        train(recipe, world / "data", world / "free", True, stages=["text"], report=no_report)


def test_lessons_count_where_there_are_any() -> None:
    known = np.full((1, 7), 0.5, np.float32)
    lessons = Lessons(
        np.concatenate([known, np.full((1, 7), np.nan, np.float32)]),
        np.array([[0.2, 0.3, 0.5], [np.nan] * 3], np.float32),
    )
    both = np.array([1, 0, 1])
    assert lessons.known(both).tolist() == [False, True, False]


def test_a_folder_that_holds_a_run_is_not_overwritten(world: Path) -> None:
    (world / "taken" / "text").mkdir(parents=True)
    with pytest.raises(RecipeError, match="already holds a run"):
        train(world / "recipe.toml", world / "data", world / "taken", False)


def test_the_fusion_needs_its_towers(world: Path) -> None:
    with pytest.raises(RecipeError, match="train the text tower first"):
        run(world, "towerless", stages=["fusion"])


def test_bad_recipes_are_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    with pytest.raises(RecipeError, match="cannot be read"):
        read_recipe(path)
    path.write_text(RECIPE.replace("seed = 3", "sead = 3"))
    with pytest.raises(RecipeError, match="sead"):
        read_recipe(path)


def test_a_recipe_extends_another_table_by_table(tmp_path: Path) -> None:
    (tmp_path / "base.toml").write_text(RECIPE)
    path = tmp_path / "sub" / "r.toml"
    path.parent.mkdir()
    path.write_text('extends = "../base.toml"\nname = "other"\n[text]\nfit = { epochs = 2 }\n')
    plan, base = read_recipe(path), read_recipe(tmp_path / "base.toml")
    assert (plan.name, plan.text.fit.epochs, plan.text.fit.rate) == ("other", 2.0, 1e-3)
    assert (plan.image, plan.fusion, plan.text.corpora) == (
        base.image,
        base.fusion,
        base.text.corpora,
    )
    path.write_text('extends = "r.toml"')
    with pytest.raises(RecipeError, match="extends itself"):
        read_recipe(path)
    path.write_text("extends = 3")
    with pytest.raises(RecipeError, match="is to be the path of a recipe"):
        read_recipe(path)


def test_a_start_that_is_nowhere_is_told(tmp_path: Path) -> None:
    assert find_start("org/model", tmp_path / "data", tmp_path / "out") == "org/model"
    with pytest.raises(RecipeError, match="is in none of"):
        find_start("no-such-checkpoint", tmp_path / "data", tmp_path / "out")


def test_a_tower_reads_before_it_learns_labels(world: Path, teacher: Path) -> None:
    recipe, out = world / "reader.toml", world / "reader"
    recipe.write_text('extends = "recipe.toml"\n[text.reading]\ncorpora = ["posts"]\n')
    train(recipe, world / "data", out, stages=["text"], report=no_report)
    read = load_file(out / "text" / "reading" / "tower.safetensors")
    towers = [load_file(run / "text" / "tower.safetensors") for run in (out, teacher.parent)]
    for tower in towers:
        assert any(not torch.equal(value, tower[name]) for name, value in read.items())
    assert any(not torch.equal(value, towers[1][name]) for name, value in towers[0].items())


def test_texts_of_dev_splits_are_not_read(world: Path) -> None:
    read = plain_texts(world / "data", ["posts"], ["posts"])
    assert len(read) == 36
    assert not set(read) & set(read_texts(world / "data", "posts", "dev"))


@pytest.mark.usefixtures("teacher")
def test_a_tower_can_be_the_mean_of_others(world: Path) -> None:
    run(world, "other", stages=["text"])
    recipe = world / "mean.toml"
    recipe.write_text('extends = "recipe.toml"\n[text]\naverage = ["teacher", "other"]\n')
    out = world / "mean"
    train(recipe, world / "data", out, stages=["text"], report=no_report)
    mean, *parts = (
        load_file(world / name / "text" / "tower.safetensors")
        for name in ("mean", "teacher", "other")
    )
    for name, value in mean.items():
        torch.testing.assert_close(value, (parts[0][name] + parts[1][name]) / 2)
    recipe.write_text('extends = "recipe.toml"\n[text]\naverage = ["teacher", "nobody"]\n')
    with pytest.raises(RecipeError, match=r"nobody.text.tower.safetensors is missing"):
        train(recipe, world / "data", world / "mean2", stages=["text"], report=no_report)


@pytest.mark.usefixtures("teacher")
def test_a_commercial_mean_takes_no_research_tower(world: Path) -> None:
    recipe = world / "mean.toml"
    allowed = '\n[licences]\nposts = "MIT"\nfaces = "MIT"\nvoices = "MIT"\n'
    recipe.write_text('extends = "recipe.toml"\n[text]\naverage = ["teacher"]\n' + allowed)
    with pytest.raises(RecipeError, match="the run teacher is for research only"):
        train(recipe, world / "data", world / "mean3", stages=["text"], report=no_report)


def test_runs_that_come_first_are_trained_first(world: Path) -> None:
    (world / "towers").mkdir()
    first = 'extends = "../recipe.toml"\nname = "first"\n'
    (world / "towers" / "first.toml").write_text(first)
    recipe = world / "second.toml"
    lesson = '[[text.teachers]]\nrelease = "first/release"\ncorpora = ["posts"]\n'
    recipe.write_text(f'extends = "recipe.toml"\nname = "second"\n{lesson}')
    out = world / "chain" / "second"
    train(recipe, world / "data", out, True, stages=["text"], report=no_report)
    assert verify(out.parent / "first" / "release").name == "first"
    assert (out / "text" / "tower.safetensors").is_file()


RECIPES = Path(__file__).parents[2] / "recipes"


@pytest.mark.parametrize(
    "path", [*RECIPES.glob("fused-*.toml"), *RECIPES.glob("towers/*.toml")], ids=lambda p: p.stem
)
def test_a_shipped_recipe_names_itself_and_its_licences(path: Path) -> None:
    plan = read_recipe(path)
    assert plan.name == path.stem
    assert set(corpora(plan)) <= set(plan.licences)
    assert all((RECIPES / "towers" / f"{name}.toml").is_file() for name in plan.text.before)


@pytest.mark.parametrize("name", ["fused-joint", "fused-open"])
def test_a_released_recipe_states_the_licences_of_its_corpora_and_no_others(name: str) -> None:
    plan = read_recipe(RECIPES / f"{name}.toml")
    assert set(corpora(plan)) == set(plan.licences)
    assert plan.text.before
    assert (plan.image is None, plan.audio is None) == ((name == "fused-open"),) * 2


def test_only_a_run_comes_first(tmp_path: Path) -> None:
    releases = ["fused-joint", "first/release", "/else/where/release", "a/b/release"]
    lessons = "".join(
        f'\n[[text.teachers]]\nrelease = "{release}"\ncorpora = ["posts"]\n' for release in releases
    )
    path = tmp_path / "r.toml"
    path.write_text(RECIPE.replace("[image]", lessons + "[image]", 1))
    assert read_recipe(path).text.before == ["first"]
