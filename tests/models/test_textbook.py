"""The textbook experiment and the comparison, whole, on posts that were made up."""

import json
from pathlib import Path

import msgspec
import pytest

from models.classic.textbook import run_textbook
from models.training import train
from models.training.recipe import RecipeError
from tests.models.classic_data import write_folder

RECIPE = """
kind = "textbook"
[suite]
fuse = ["text-cnn", "image-cnn", "audio-lstm"]
batch = 8
fusion = { epochs = 6 }
[suite.towers]
text-cnn = { epochs = 6, rate = 3e-3 }
text-lstm = { epochs = 8, rate = 1e-2 }
image-cnn = { epochs = 3, rate = 3e-3, size = 24 }
image-rnn = { epochs = 3, rate = 3e-3, size = 24 }
audio-lstm = { epochs = 6, rate = 1e-2 }
audio-cnn = { epochs = 6, rate = 3e-3 }
"""


def no_report(stage: str, step: int, steps: int, loss: float) -> None:
    """Say nothing."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, and its data and recipe beside it."""
    root = tmp_path_factory.mktemp("textbook")
    write_folder(root / "data", 90)
    (root / "recipe.toml").write_text(RECIPE)
    train(root / "recipe.toml", root / "data", root / "out", True, report=no_report)
    return root


def test_every_tower_and_fusion_beats_the_majority_class(run: Path) -> None:
    scores = json.loads((run / "out" / "scores.json").read_text())
    floor = scores.pop("majority class")
    assert len(scores) == 10
    for name, values in scores.items():
        assert values["accuracy"] > floor["accuracy"], name
        assert values["parameters"] > 0
    assert scores["data-fusion"]["macro_f1"] > 0.9


def test_losses_are_logged_epoch_by_epoch(run: Path) -> None:
    lines = (run / "out" / "log.csv").read_text().splitlines()
    assert lines[0] == "model,epoch,loss,held_out_loss,held_out_accuracy"
    mine = [line.split(",") for line in lines if line.startswith("text-cnn,")]
    assert [int(line[1]) for line in mine] == [1, 2, 3, 4, 5, 6]
    assert float(mine[-1][2]) < float(mine[0][2])


def test_what_is_done_is_not_done_again_and_what_is_lost_comes_back_the_same(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = run / "out"
    before = {file: file.stat().st_mtime_ns for file in out.glob("*.safetensors")}
    lost = out / "feature-fusion.json"
    weights = (out / "feature-fusion.safetensors").read_bytes()
    predicted = json.loads(lost.read_text())["predicted"]
    lost.unlink()
    (out / "feature-fusion.safetensors").unlink()
    run_textbook(run / "recipe.toml", run / "data", out, no_report)
    assert json.loads(lost.read_text())["predicted"] == predicted
    assert (out / "feature-fusion.safetensors").read_bytes() == weights
    del before[out / "feature-fusion.safetensors"]
    assert all(file.stat().st_mtime_ns == when for file, when in before.items())
    table = capsys.readouterr().out
    assert "majority class" in table
    assert "model-weighted" in table


def test_fusions_are_scored_on_every_subset(run: Path) -> None:
    result = msgspec.json.decode((run / "out" / "model-sum.json").read_bytes())
    assert set(result["subsets"]) == {
        *("text", "image", "audio", "text+image", "text+audio", "image+audio")
    }
    alone = msgspec.json.decode((run / "out" / "text-cnn.json").read_bytes())
    assert result["subsets"]["text"] == alone["predicted"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (("text-lstm", "text-lsmt"), "no tower is called 'text-lsmt'"),
        (('fuse = ["text-cnn"', 'fuse = ["text-lstm", "text-cnn"'), "one tower a modality"),
        (("rate = 1e-2", "rat = 1e-2"), "rat"),
    ],
)
def test_bad_recipes_are_refused_in_words(
    run: Path, tmp_path: Path, change: tuple[str, str], sentence: str
) -> None:
    recipe = tmp_path / "r.toml"
    recipe.write_text(RECIPE.replace(*change))
    with pytest.raises(RecipeError, match=sentence):
        run_textbook(recipe, run / "data", tmp_path / "out", no_report)


def test_a_folder_that_holds_another_run_is_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="already holds a run"):
        run_textbook(run / "recipe.toml", run / "data", run / "out", no_report, resume=False)
    other = write_folder(tmp_path / "other", 60)
    with pytest.raises(RecipeError, match="holds a run on other posts"):
        run_textbook(run / "recipe.toml", other, run / "out", no_report)
