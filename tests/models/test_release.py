import json
import shutil
from pathlib import Path

import pytest

from models.errors import ReleaseError
from models.labels import EMOTIONS, MODALITIES
from models.predictor import Predictor
from models.release import DEFAULT_RELEASE, WEIGHTS, read_config, subset_key, verify


@pytest.fixture
def release(tmp_path: Path) -> Path:
    copy = tmp_path / "release"
    shutil.copytree(DEFAULT_RELEASE, copy)
    return copy


def test_the_shipped_release_is_whole() -> None:
    manifest = verify(DEFAULT_RELEASE)
    assert manifest.name == "fused-joint"
    assert set(manifest.sha256) >= {"config.json", WEIGHTS, "tokenizer.json", "card.md"}


def test_no_file_is_over_the_limit() -> None:
    sizes = {path.name: path.stat().st_size for path in DEFAULT_RELEASE.iterdir()}
    assert max(sizes.values()) < 95e6


def test_every_threshold_and_subset_is_calibrated() -> None:
    calibration = read_config(DEFAULT_RELEASE).calibration
    assert set(calibration.thresholds) == set(EMOTIONS)
    assert {subset_key((name,)) for name in MODALITIES} <= set(calibration.temperatures)
    assert subset_key(MODALITIES) in calibration.temperatures


@pytest.mark.parametrize("name", ["config.json", WEIGHTS, "tokenizer.json"])
def test_an_altered_file_is_refused(release: Path, name: str) -> None:
    path = release / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(ReleaseError, match=rf"{name} does not match its sha256"):
        Predictor.load(release)


def test_a_missing_file_is_named(release: Path) -> None:
    (release / WEIGHTS).unlink()
    with pytest.raises(ReleaseError, match=rf"{WEIGHTS} is missing"):
        verify(release)


def test_a_missing_folder_says_what_a_release_is(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="weathervane train"):
        Predictor.load(tmp_path / "nowhere")


def test_another_label_map_is_refused(release: Path) -> None:
    path = release / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["emotions"][0] = "rage"
    path.write_text(json.dumps(manifest))
    with pytest.raises(ReleaseError, match="made for another version"):
        verify(release)


def test_a_path_that_leads_out_of_the_folder_is_refused(release: Path) -> None:
    path = release / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["sha256"]["../secret"] = "0"
    path.write_text(json.dumps(manifest))
    with pytest.raises(ReleaseError, match="outside its folder"):
        verify(release)
