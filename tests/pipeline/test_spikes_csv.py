"""Scoring a CSV file: its rows come back with a score, or a sentence says which is bad."""

from __future__ import annotations

import csv
import os
import threading
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
    assert after[0][2:] == ["score", "anomaly", "direction"]
    assert all(0 <= float(row[2]) <= 1 for row in after[1:])
    assert all(row[3] == str(int(float(row[2]) >= 0.5)) for row in after[1:])
    assert after[-1][3:] == ["1", "up"]
    assert all((row[4] in ("up", "down")) == (row[3] == "1") for row in after[1:])
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
        ("name,price\n", "line 1: expected the header timestamp,value .*found 'name,price'"),
        ("timestamp\n", "line 1: expected the header"),
        ("", "line 1: expected the header"),
        (f"{HEADER}2026-01-01 00:00:00,1\nyesterday,2\n", "line 3: 'yesterday' is not a time"),
        (f"{HEADER}2026-01-01 00:00:00,many\n", "line 2: 'many' is not a number"),
        (f"{HEADER}2026-01-01 00:00:00,inf\n", "line 2: 'inf' is not a finite number"),
        (f"{HEADER},5\n", "line 2: '' is not a time"),
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


def judged(folder: Path, text: str | bytes) -> list[list[str]]:
    """The scores, anomalies and directions of a file, line by line."""
    source, out = folder / "in.csv", folder / "out.csv"
    source.write_bytes(text.encode() if isinstance(text, str) else text)
    detect_csv(source, out)
    mark = next(mark for mark in "\t;," if mark in out.read_text())
    with out.open(newline="") as lines:
        return [row[-3:] for row in csv.reader(lines, delimiter=mark)]


def test_a_row_without_a_value_is_not_judged_and_the_others_are(tmp_path: Path) -> None:
    lines = rows_of(500).splitlines(keepends=True)
    whole = judged(tmp_path, HEADER + "".join(lines))
    for nothing in ("", " ", "NaN", "null", "N/A"):
        spoilt = [*lines[:400], f"2026-01-06 09:22:00,{nothing}\n", *lines[400:]]
        found = judged(tmp_path, HEADER + "".join(spoilt))
        assert found[401] == ["", "", ""]
        assert found[-1][1:] == ["1", "up"]
        assert len(found) == len(whole) + 1


HEADS = {
    "Timestamp,Value": (",", "{0},{1}"),
    "DATE,Count": (",", "{0},{1}"),
    " ds , y ": (",", "{0},{1}"),
    "value,time": (",", "{1},{0}"),
    "time,mentions of us": (",", "{0},{1}"),
    "id,datetime,brand,value": (",", "7,{0},a,{1}"),
    "time;value": (";", "{0};{1}"),
    "time\tvalue": ("\t", "{0}\t{1}"),
    "": (",", "{0},{1}"),
}


@pytest.mark.parametrize("head", HEADS)
def test_common_headers_and_marks_are_the_same_series(tmp_path: Path, head: str) -> None:
    expected = judged(tmp_path, HEADER + rows_of(300))
    mark, form = HEADS[head]
    cells = [line.split(",") for line in rows_of(300).splitlines()]
    text = (f"{head}\n" if head else "") + "".join(f"{form.format(*row)}\n" for row in cells)
    assert judged(tmp_path, text) == expected
    first = (tmp_path / "out.csv").read_text().splitlines()[0]
    assert first == mark.join([head or "timestamp,value", "score", "anomaly", "direction"])
    assert judged(tmp_path, ("\ufeff" + text).encode("utf-16-le")) == expected


TIMES = {
    "seconds": lambda moment: str(int(moment.timestamp())),
    "milliseconds": lambda moment: str(int(moment.timestamp() * 1000)),
    "slashes": lambda moment: f"{moment.year}/{moment.month}/{moment.day} {moment:%H:%M}",
    "Z": lambda moment: f"{moment:%Y-%m-%dT%H:%M:%SZ}",
}


@pytest.mark.parametrize("form", TIMES)
def test_times_as_they_are_exported(tmp_path: Path, form: str) -> None:
    lines = [line.split(",") for line in rows_of(300).splitlines()]
    expected = judged(tmp_path, HEADER + rows_of(300))
    written = [[TIMES[form](datetime.fromisoformat(time)), value] for time, value in lines]
    assert judged(tmp_path, HEADER + "".join(f"{t},{v}\n" for t, v in written)) == expected


def test_newest_first_is_judged_in_the_order_of_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [
        f"{datetime(2026, 1, 5) + timedelta(minutes=5 * n)},{400 if n == 450 else 20 + n % 3}\n"  # noqa: DTZ001
        for n in range(500)
    ]
    forwards = judged(tmp_path, HEADER + "".join(lines))
    assert [place for place, row in enumerate(forwards) if row[1] == "1"] == [451]
    assert capsys.readouterr().err == ""
    assert judged(tmp_path, HEADER + "".join(reversed(lines)))[1:] == forwards[:0:-1]
    assert "is not in the order of time" in capsys.readouterr().err
    shuffled = [lines[n * 7 % 500] for n in range(500)]
    found = judged(tmp_path, HEADER + "".join(shuffled))[1:]
    assert [found[n * 143 % 500] for n in range(500)] == forwards[1:]


def test_the_direction_of_a_fall(tmp_path: Path) -> None:
    lines = [
        f"{datetime(2026, 1, 5) + timedelta(minutes=5 * n)},{0 if n == 700 else 400 + n % 9}\n"  # noqa: DTZ001
        for n in range(705)
    ]
    assert judged(tmp_path, HEADER + "".join(lines))[701][1:] == ["1", "down"]


def test_a_pipe_is_read_as_a_file_is(tmp_path: Path) -> None:
    expected = judged(tmp_path, HEADER + rows_of(300))
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_text(HEADER + rows_of(300)))
    writer.start()
    detect_csv(pipe, tmp_path / "of-pipe.csv")
    writer.join()
    with (tmp_path / "of-pipe.csv").open(newline="") as lines:
        assert [row[-3:] for row in csv.reader(lines)] == expected


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


@pytest.mark.parametrize("values", [[], ["nan"], ["NaN", "", "null"] * 100])
def test_a_file_without_values_is_refused(tmp_path: Path, values: list[str]) -> None:
    source, out = tmp_path / "in.csv", tmp_path / "out.csv"
    rows = (f"2026-01-05 00:{at % 60:02},{value}\n" for at, value in enumerate(values))
    source.write_text(HEADER + "".join(rows))
    with pytest.raises(WeathervaneError, match=r"in\.csv has no row with a value"):
        detect_csv(source, out)
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


def test_what_has_no_anomaly_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = judged(tmp_path, HEADER + "".join(f"2026-01-05 {h:02}:00,7\n" for h in range(24)))
    assert {row[1] for row in found[1:]} == {"0"}
    assert capsys.readouterr().err == "no anomaly was found among 24 values\n"
    judged(tmp_path, HEADER + rows_of(500))
    assert capsys.readouterr().err == ""
