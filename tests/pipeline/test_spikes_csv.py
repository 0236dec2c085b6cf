"""Scoring a CSV file: its rows come back with a score, or a sentence says which is bad."""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from benchmarks.nab.corpus import default_folder, read_corpus
from benchmarks.nab.run import detect, stack
from pipeline.errors import WeathervaneError
from workers.detect import detect_csv

HEADER = "timestamp,value\n"


def rows_of(count: int) -> str:
    """Rows of five minutes with a spike at the end, a repeated time and a step back."""
    random = np.random.default_rng(0)
    times = [datetime(2026, 1, 5, tzinfo=UTC) + timedelta(minutes=5 * at) for at in range(count)]
    times[20], times[30] = times[19], times[10]
    values = [*random.poisson(20, count - 1).tolist(), 400]
    return "".join(f"{time},{value}\n" for time, value in zip(times, values, strict=True))


def test_the_rows_come_back_as_they_were_with_score_and_anomaly(tmp_path: Path) -> None:
    source, out = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text(HEADER + rows_of(500))
    detect_csv(source, out)
    before = [line.split(",") for line in source.read_text().splitlines()]
    after = [line.split(",") for line in out.read_text().splitlines()]
    assert [row[:2] for row in after] == before
    assert after[0][2:] == ["score", "anomaly"]
    assert all(0 <= float(row[2]) <= 1 for row in after[1:])
    assert all(row[3] == str(int(float(row[2]) >= 0.5)) for row in after[1:])
    assert after[-1][3] == "1"
    assert [path.name for path in tmp_path.iterdir() if "partial" in path.name] == []


def test_the_scores_of_a_prefix_are_the_prefix_of_the_scores(tmp_path: Path) -> None:
    rows = rows_of(500).splitlines(keepends=True)
    outs = []
    for length in (300, 500):
        source, out = tmp_path / f"{length}.csv", tmp_path / f"{length}.out"
        source.write_text(HEADER + "".join(rows[:length]))
        detect_csv(source, out)
        outs.append(out.read_text())
    assert outs[1].startswith(outs[0])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("time,value\n", "line 1: expected the header"),
        ("", "line 1: expected the header"),
        (f"{HEADER}2026-01-01 00:00:00,1\nyesterday,2\n", "line 3: 'yesterday' is not a time"),
        (f"{HEADER}2026-01-01 00:00:00,many\n", "line 2: 'many' is not a number"),
        (f"{HEADER}2026-01-01 00:00:00,\n", "line 2: '' is not a number"),
        (f"{HEADER}2026-01-01 00:00:00,nan\n", "line 2: 'nan' is not a finite number"),
        (f"{HEADER}2026-01-01 00:00:00,1,2\n", "line 2: expected 2 columns, found 3"),
    ],
)
def test_a_bad_row_is_named_and_nothing_is_written(tmp_path: Path, text: str, said: str) -> None:
    source, out = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text(text)
    out.write_text("old")
    with pytest.raises(WeathervaneError, match=said):
        detect_csv(source, out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", "out.csv"]
    assert out.read_text() == "old"


def test_a_file_that_is_not_there_or_not_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeathervaneError, match=r"absent\.csv: No such file"):
        detect_csv(tmp_path / "absent.csv", tmp_path / "out.csv")
    (tmp_path / "picture.csv").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(WeathervaneError, match="not UTF-8"):
        detect_csv(tmp_path / "picture.csv", tmp_path / "out.csv")


@pytest.mark.skipif(
    not (default_folder() / "data").is_dir(), reason="the corpus is not beside the repository"
)
def test_a_file_scores_as_in_the_benchmark(tmp_path: Path) -> None:
    corpus = [s for s in read_corpus(default_folder()) if "rogue_agent_key_updown" in s.name]
    scores = detect(*stack(corpus))[:, 0]
    detect_csv(default_folder() / "data" / corpus[0].name, tmp_path / "out.csv")
    with (tmp_path / "out.csv").open(newline="") as lines:
        found = [float(row["score"]) for row in csv.DictReader(lines)]
    assert found == pytest.approx(scores, abs=1e-6)
