"""`predict`: one row out for each row in, whatever the rows hold."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.corpora import DataError
from models.labels import EMOTIONS, POLARITIES
from models.release import DEFAULT_RELEASE
from models.scoring import CHUNK, SCHEMA, score_parquet


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def test_rows_keep_their_order_and_the_unreadable_are_marked(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"id": f"r{n}", "text": ["I am so happy!", "这太气人了"][n % 2], "image": None, "more": n}
        for n in range(CHUNK + 20)
    ]
    rows[7] = {"id": "bad", "text": "x", "image": {"bytes": b"no picture", "path": None}, "more": 1}
    rows[8] = {"id": "empty", "text": None, "image": None, "more": 1}
    source, out = write(tmp_path / "in.parquet", rows), tmp_path / "out.parquet"
    done: list[int] = []
    assert score_parquet(DEFAULT_RELEASE, source, out, "cpu", done.append) == 1
    assert done[-1] == len(rows)
    table = pq.read_table(out)
    assert table.schema.equals(SCHEMA)
    scored = table.to_pylist()
    assert [row["id"] for row in scored] == [row["id"] for row in rows]
    for row in scored:
        assert all(0 <= row[name] <= 1 for name in EMOTIONS)
        assert abs(sum(row[f"polarity_{name}"] for name in POLARITIES) - 1) < 1e-3
        likeliest = max(EMOTIONS, key=lambda name: row[name])
        assert row["dominant"] == (likeliest if row[likeliest] else None)
    assert [row["abstained"] for row in scored[7:9]] == [True, True]
    assert [row["dominant"] for row in scored[7:9]] == [None, None]
    assert [row["id"] for row in scored if row["dominant"] is None] == ["bad", "empty"]
    assert scored[0]["dominant"] == "joy"
    assert scored[1]["polarity_negative"] > 0.5


def test_a_file_without_text_or_ids(tmp_path: Path) -> None:
    source = write(tmp_path / "in.parquet", [{"id": "a", "emotions": 1}])
    assert score_parquet(DEFAULT_RELEASE, source, tmp_path / "out.parquet", "cpu") == 0
    source = write(tmp_path / "in.parquet", [{"text": "a"}])
    with pytest.raises(DataError, match="no column id"):
        score_parquet(DEFAULT_RELEASE, source, tmp_path / "out.parquet", "cpu")
    (tmp_path / "in.csv").write_text("id,text\n")
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        score_parquet(DEFAULT_RELEASE, tmp_path / "in.csv", tmp_path / "out.parquet", "cpu")


def test_a_disk_without_room_is_named_and_nothing_half_done_is_left(tmp_path: Path) -> None:
    source = write(tmp_path / "in.parquet", [{"id": "a", "text": "so happy"}])
    out = tmp_path / "out.parquet"
    out.write_bytes(b"from before")
    (tmp_path / ".out.parquet.partial").symlink_to("/dev/full")
    with pytest.raises(DataError, match=r"out\.parquet cannot be written: No space left"):
        score_parquet(DEFAULT_RELEASE, source, out, "cpu")
    assert sorted(tmp_path.iterdir()) == [source, out]
    assert out.read_bytes() == b"from before"


def test_a_file_that_is_damaged_further_on(tmp_path: Path) -> None:
    source = write(tmp_path / "in.parquet", [{"id": f"r{n}", "text": "x"} for n in range(2000)])
    whole = bytearray(source.read_bytes())
    whole[4:400] = bytes(396)
    source.write_bytes(whole)
    with pytest.raises(DataError, match=r"in\.parquet cannot be read to its end"):
        score_parquet(DEFAULT_RELEASE, source, tmp_path / "out.parquet", "cpu")
    assert sorted(tmp_path.iterdir()) == [source]
