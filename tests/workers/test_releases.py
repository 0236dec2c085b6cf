"""`models list`, `models show`, and what `export` refuses before it begins."""

import json
from pathlib import Path

import pytest

from models.errors import ModelError
from models.release import DEFAULT_RELEASE
from pipeline.errors import SettingsError
from pipeline.settings import load_settings
from workers.releases import export_release, print_card, print_shipped


def test_what_ships_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    print_shipped(as_json=True)
    joint = json.loads(capsys.readouterr().out)["fused-joint"]
    assert joint["modalities"] == ["text", "image", "audio"]
    assert joint["use"] == "research"
    assert 0 < joint["bytes"] < 100e6
    assert joint["scores"]["goemotions"]["macro_f1"] > 0.5
    print_shipped(as_json=False)
    assert "fused-joint" in capsys.readouterr().out


def test_a_card_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    print_card("fused-joint")
    assert capsys.readouterr().out.strip() == (DEFAULT_RELEASE / "card.md").read_text().strip()
    with pytest.raises(ModelError, match="there is no release"):
        print_card("fused-nothing")


def test_a_folder_with_something_in_it_is_not_written(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    with pytest.raises(SettingsError, match="is not an empty folder"):
        export_release(load_settings(), tmp_path, "onnx", [])


def test_towers_are_picked_for_a_graph_alone(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="--only picks towers of an ONNX graph"):
        export_release(load_settings(), tmp_path, "transformers", ["text"])
