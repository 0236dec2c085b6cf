"""What is refused before it is read, in one plain sentence; nothing of a stranger's is run."""

import json
import os
import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from models.errors import ModelError, ReleaseError
from models.predictor import Predictor
from models.prepare import Preparer
from models.registry import find_release
from models.release import DEFAULT_RELEASE, WEIGHTS, write_manifest
from tests.models.tiny import WORDS, make_release, tokenizer

Change = Callable[[Path], None]


@pytest.fixture
def release(tmp_path: Path) -> Path:
    return make_release(tmp_path / "tiny", audio=True)


def edited(name: str, *path: str, value: Any, vouch: bool = True) -> Change:
    """A change of one field of a JSON file, and a manifest that vouches for the new file."""

    def change(release: Path) -> None:
        file = release / name
        whole = json.loads(file.read_text())
        inner = whole
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = value
        file.write_text(json.dumps(whole))
        if vouch:
            write_manifest(release, "tiny")

    return change


def weights(edit: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> Change:
    """Other tensors in the file of weights, vouched for."""

    def change(release: Path) -> None:
        save_file(edit(load_file(release / WEIGHTS)), release / WEIGHTS)
        write_manifest(release, "tiny")

    return change


def words(given: list[str]) -> Change:
    """Another tokenizer, vouched for."""

    def change(release: Path) -> None:
        tokenizer(given).save(str(release / "tokenizer.json"))
        write_manifest(release, "tiny")

    return change


def bytes_of(name: str, data: bytes) -> Change:
    """Anything in the place of a file, vouched for."""

    def change(release: Path) -> None:
        (release / name).write_bytes(data)
        write_manifest(release, "tiny")

    return change


def vouch_for(name: str) -> Change:
    """A further file that the manifest names."""
    return bytes_of(name, b"x")


ENCODER = ("config.json", "text", "encoder")
CASES: dict[str, tuple[Change, str]] = {
    "later format": (
        edited("manifest.json", "format", value=2, vouch=False),
        "a release of format 2; this program reads format 1: upgrade it",
    ),
    "labels in another order": (
        edited(
            "manifest.json", "polarities", value=["positive", "neutral", "negative"], vouch=False
        ),
        "made for another version of this program",
    ),
    "a tower that the manifest does not promise": (
        edited("manifest.json", "modalities", value=["text"], vouch=False),
        "manifest.json promises text, config.json has towers for text, audio",
    ),
    "more words than the weights know": (
        words([*WORDS, "more"]),
        "tokenizer.json has 11 pieces, the model of config.json knows 10",
    ),
    "words in another order": (
        words([*WORDS[:6], *reversed(WORDS[6:])]),
        "was trained with another tokenizer",
    ),
    "no tokenizer": (bytes_of("tokenizer.json", b"{}"), "is no tokenizer"),
    "weights of another shape": (
        weights(lambda given: given | {"fusion.summary": torch.zeros(17)}),
        r"holds fusion.summary of the shape \(17,\), config.json asks for \(16,\)",
    ),
    "a tensor too few": (
        weights(lambda given: {k: v for k, v in given.items() if k != "fusion.summary"}),
        "lacks fusion.summary",
    ),
    "a tensor too many": (
        weights(lambda given: given | {"extra": torch.zeros(1)}),
        "holds extra, of which config.json knows nothing",
    ),
    "a wider encoder": (
        edited(*ENCODER, "intermediate_size", value=64),
        r"of the shape \(32, 16\), config.json asks for \(64, 16\)",
    ),
    "huge but allowed dimensions": (
        edited(*ENCODER, "vocab_size", value=2_000_000),
        r"word_embeddings.weight of the shape \(10, 16\)",
    ),
    "a hundred terabytes": (
        edited(*ENCODER, "vocab_size", value=10**13),
        "text.encoder.vocab_size must be a whole number from 1 to 2097152",
    ),
    "a billion layers": (
        edited(*ENCODER, "num_hidden_layers", value=10**9),
        "text.encoder.num_hidden_layers must be a whole number from 1 to 64",
    ),
    "layers of a fraction": (
        edited(*ENCODER, "num_hidden_layers", value=1.5),
        "text.encoder.num_hidden_layers must be a whole number",
    ),
    "a huge audio tower": (
        edited("config.json", "audio", "width", value=10**9),
        r"Expected `int` <= 8192 - at `\$.audio.width`",
    ),
    "a heads that do not divide": (
        edited("config.json", "fusion", "heads", value=3),
        "the width of fusion, 16, does not divide by its 3 heads",
    ),
    "a temperature of zero": (
        edited(
            "config.json",
            "calibration",
            "temperatures",
            value={"text": {"emotions": 0, "polarity": 1}},
        ),
        r"Expected `float` > 0.0",
    ),
    "a bias of six emotions": (
        edited(
            "config.json",
            "calibration",
            "temperatures",
            value={"text": {"bias": [0, 0, 0, 0, 0, 0]}},
        ),
        r"Expected `array` of length 7",
    ),
    "an emotion that is none": (
        edited("config.json", "calibration", "thresholds", value={"rage": 0.5}),
        "names rage, which is no emotion",
    ),
    "an unknown field": (edited("config.json", "code", value="x.py"), "unknown field `code`"),
    "another kind of model": (
        edited("config.json", "model_type", value="bert"),
        "describes a model of the type bert",
    ),
    "an endless config": (
        bytes_of("config.json", b'{"text": "' + b"a" * (5 << 20)),
        "config.json is larger than 4 MiB",
    ),
    "no JSON": (bytes_of("config.json", b"\x80\x04"), "config.json: "),
    "a truncated file of weights": (bytes_of(WEIGHTS, b"\xff" * 64), "is no safetensors file"),
    "a pickle that is vouched for": (
        vouch_for("pytorch_model.bin"),
        "names pytorch_model.bin: a release holds",
    ),
    "code that is vouched for": (vouch_for("modeling.py"), "names modeling.py: a release holds"),
}


def load(release: Path) -> None:
    """As a worker does: the feeders' side, then the device's."""
    Preparer.load(release)
    Predictor.load(release, "cpu")


def test_the_whole_one_is_taken(release: Path) -> None:
    load(release)


@pytest.mark.parametrize("name", CASES)
def test_refused_in_a_sentence(release: Path, name: str) -> None:
    change, sentence = CASES[name]
    try:
        change(release)
    except ReleaseError as error:  # the manifest is written by the same rules
        assert re.search(sentence, str(error))
        return
    with pytest.raises(ReleaseError, match=sentence) as refused:
        load(release)
    assert "\n" not in str(refused.value)


class Canary:
    """Unpickled, it writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.path),))


@pytest.mark.parametrize("place", [WEIGHTS, "pytorch_model.bin", "model.pt"])
def test_trial_18_pickled_weights_do_nothing(release: Path, tmp_path: Path, place: str) -> None:
    canary = tmp_path / "canary"
    pickle.loads(pickle.dumps(Canary(canary)))  # noqa: S301  the trap works
    canary.rmdir()
    (release / WEIGHTS).unlink()
    (release / place).write_bytes(pickle.dumps(Canary(canary)))
    if place == WEIGHTS:
        write_manifest(release, "tiny")
    with pytest.raises(ReleaseError, match="can run code"):
        load(release)
    assert not canary.exists()


def test_trial_18_code_in_the_folder_is_not_run(release: Path, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    (release / "modeling.py").write_text(f"import os; os.mkdir({str(canary)!r})")
    hostile = {"AutoModel": "modeling.Model", "AutoTokenizer": "modeling.Tokenizer"}
    config = json.loads((release / "config.json").read_text())
    config |= {"model_type": "weathervane", "auto_map": hostile}
    (release / "config.json").write_text(json.dumps(config))
    code = (release / "modeling.py").rename(tmp_path / "modeling.py")
    write_manifest(release, "tiny")
    code.rename(release / "modeling.py")
    load(release)
    assert not canary.exists()


@pytest.mark.timeout(300)
def test_trial_18_an_altered_byte_ends_the_command_in_a_sentence(release: Path) -> None:
    """Exit 1, one line on stderr, no traceback."""
    with (release / WEIGHTS).open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\x55")
    done = subprocess.run(
        [sys.executable, "-m", "workers", "score", "--text", "so happy"],
        env=os.environ | {"WEATHERVANE_RELEASE": str(release)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout
    assert done.stdout == ""
    [line] = done.stderr.splitlines()
    assert line.startswith("weathervane: ")
    assert "does not match its sha256" in line


def test_a_release_that_is_nowhere() -> None:
    with pytest.raises(ModelError, match=r"no shipped name .*fused-joint"):
        find_release("fused-nothing")


def test_the_shipped_names() -> None:
    assert find_release(None) == find_release("fused-joint") == DEFAULT_RELEASE
    assert find_release(str(DEFAULT_RELEASE)) == DEFAULT_RELEASE
