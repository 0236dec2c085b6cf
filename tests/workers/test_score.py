"""`score --explain` and `evaluate`, as a person runs them, but in this process."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.corpora import DataError
from models.labels import EMOTIONS
from pipeline.errors import SettingsError
from pipeline.settings import Settings
from tests.models.samples import png
from workers.predict import Evaluation, print_evaluation
from workers.score import print_explained, print_score

pytestmark = pytest.mark.timeout(600)  # many passes of the model


def test_reasons_stand_beside_the_event(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image, picture = tmp_path / "a.png", tmp_path / "why.png"
    image.write_bytes(png())
    print_explained(Settings(), "I am so happy today!", image, None, as_json=True, picture=picture)
    found = json.loads(capsys.readouterr().out)
    assert found["dominant"] == found["explanation"]["emotion"] == "joy"
    assert found["modalities"] == list(found["explanation"]["modalities"]) == ["text", "image"]
    assert "text" not in found
    assert [word["text"] for word in found["explanation"]["words"]][3] == "happy"
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_reasons_for_a_person(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    print_explained(Settings(), "[哈哈] 笑死我了", None, None, as_json=False, picture=None)
    said = capsys.readouterr().out
    assert "why joy" in said
    assert "[哈哈]" in said
    with pytest.raises(SettingsError, match="cannot write"):
        print_explained(
            Settings(), "hello", None, None, as_json=True, picture=tmp_path / "no" / "why.png"
        )


def test_of_what_cannot_be_read_nothing_is_claimed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "why.png"
    print_explained(Settings(), "https://t.co/x", None, None, as_json=False, picture=picture)
    said = capsys.readouterr().out
    assert "nothing could be read" in said
    assert "why" not in said
    assert picture.read_bytes().startswith(b"\x89PNG")
    print_score(Settings(), "转发微博", None, None, as_json=False)
    assert "nothing could be read" in capsys.readouterr().out
    print_score(Settings(), "@ann https://t.co/x", None, None, as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert (found["dominant"], found["modalities"], found["abstained"]) == (None, [], True)
    assert set(found["emotions"].values()) == {0.0}


def test_evaluation_as_json_as_a_table_and_as_a_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        {"id": "1", "text": "I am so happy today!", "emotions": _only("joy")},
        {"id": "2", "text": "I am furious", "emotions": _only("anger")},
    ]
    (tmp_path / "mine").mkdir()
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "mine" / "dev.parquet")
    out = tmp_path / "report"
    print_evaluation(Settings(), Evaluation(tmp_path, out=out), as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert found["models"][0]["corpora"]["mine"]["scores"]["accuracy"]["value"] == 1.0
    assert found == json.loads((out / "scores.json").read_bytes())
    twice = Evaluation(tmp_path, models=("fused-joint", "fused-joint"), robustness=True)
    print_evaluation(Settings(), twice, as_json=False)
    said = capsys.readouterr().out
    assert "words left out" in said
    assert "+0.000" in said
    with pytest.raises(DataError, match="for yours"):
        print_evaluation(Settings(), Evaluation(tmp_path, corpora=("yours",)), as_json=True)


def _only(name: str) -> dict[str, float]:
    return {emotion: float(emotion == name) for emotion in EMOTIONS}
