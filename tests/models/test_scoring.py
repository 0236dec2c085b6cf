"""`predict`: one row out for each row in, whatever the rows hold."""

import base64
import gzip
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from PIL import ExifTags, Image

from models.corpora import DataError
from models.labels import EMOTIONS, POLARITIES
from models.release import DEFAULT_RELEASE
from models.scoring import CHUNK, SCHEMA, score_parquet
from tests.models.tiny import make_release
from workers.clean import Cleaner

MEDIA_SCHEMA = pa.schema(
    [("id", pa.string()), ("text", pa.string()), ("image", pa.binary()), ("audio", pa.binary())]
)


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def score(tmp_path: Path, source: Path, expected_errors: int = 0) -> list[dict[str, Any]]:
    """The rows of the result, as the command has them: with the pipeline's cleaner."""
    out = tmp_path / "out.parquet"
    with Cleaner() as clean:
        assert score_parquet(DEFAULT_RELEASE, source, out, "cpu", clean=clean) == expected_errors
    table = pq.read_table(out)
    assert table.schema.equals(SCHEMA)
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def jpeg(size: tuple[int, int] = (64, 48), orientation: int = 1, quality: int = 85) -> bytes:
    """Dark above, bright below, so that the side that is up shows."""
    shades = np.linspace(0, 255, size[1], dtype=np.uint8)
    picture = Image.fromarray(np.repeat(shades[:, None], size[0], axis=1)).convert("RGB")
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=quality, exif=exif)
    return out.getvalue()


def test_rows_keep_their_order_and_a_damaged_part_costs_the_part(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"id": f"r{n}", "text": ["I am so happy!", "这太气人了"][n % 2], "image": None, "more": n}
        for n in range(CHUNK + 20)
    ]
    damaged = {"bytes": b"no picture", "path": None}
    rows[7] = {"id": "bad", "text": "I am so happy!", "image": damaged, "more": 1}
    rows[8] = {"id": "empty", "text": None, "image": None, "more": 1}
    rows[9] = {"id": "lost", "text": None, "image": damaged, "more": 1}
    source, out = write(tmp_path / "in.parquet", rows), tmp_path / "out.parquet"
    done: list[int] = []
    assert score_parquet(DEFAULT_RELEASE, source, out, "cpu", done.append) == 2
    assert done[-1] == len(rows)
    table = pq.read_table(out)
    assert table.schema.equals(SCHEMA)
    scored = table.to_pylist()
    assert [row["id"] for row in scored] == [row["id"] for row in rows]
    for row in scored:
        assert all(0 <= row[name] <= 1 for name in EMOTIONS)
        assert abs(sum(row[f"polarity_{name}"] for name in POLARITIES) - 1) < 1e-3
        assert not row["modalities"] or row["dominant"] == max(EMOTIONS, key=row.__getitem__)
    assert scored[7]["error"].startswith("image: ")
    assert scored[7] | {"id": 0, "error": None} == scored[0] | {"id": 0}
    for row in scored[8:10]:
        assert (row["dominant"], row["modalities"], row["abstained"]) == (None, [], True)
        assert (row["polarity_neutral"], row["confidence"], row["labels"]) == (1.0, 0.0, [])
    assert (scored[8]["error"], scored[9]["error"] is None) == (None, False)
    assert scored[0]["dominant"] == "joy"
    assert scored[0]["sentiment"] > 0.5
    assert scored[0]["confidence"] == scored[0]["joy"]
    assert scored[1]["polarity_negative"] > 0.5


def test_pictures_and_sounds_are_read_as_in_the_pipeline(tmp_path: Path) -> None:
    """Upright, on white, of every format and rate: the same scores as their clean forms."""
    picture = Image.open(io.BytesIO(jpeg((300, 200))))
    clear = Image.new("RGBA", (200, 200), (0, 0, 0, 0))
    clear.paste((200, 30, 30, 255), (60, 60, 140, 140))
    white = Image.new("RGB", clear.size, "white")
    white.paste(clear, mask=clear)
    turned = picture.rotate(-90, expand=True)  # a viewer turns it back by its note
    note = Image.Exif()
    note[ExifTags.Base.Orientation] = 8
    files = {
        "upright": _saved(picture, "JPEG", quality=95),
        "by its note": _saved(turned, "JPEG", quality=95, exif=note),
        "webp": _saved(picture, "WEBP", quality=95),
        "on white": _saved(white, "PNG"),
        "transparent": _saved(clear, "PNG"),
    }
    rows: list[dict[str, object]] = [{"id": name, "image": data} for name, data in files.items()]
    rows += [
        {"id": f"{rate} {kind}", "audio": _tone(rate, kind)}
        for rate, kind in ((16_000, "FLAC"), (44_100, "WAV"), (48_000, "OGG"), (22_050, "MP3"))
    ]
    rows.append({"id": "long", "audio": _tone(16_000, "FLAC", 16)})
    table = pa.Table.from_pylist(rows, schema=MEDIA_SCHEMA)
    pq.write_table(table, tmp_path / "in.parquet")
    found = {row["id"]: row for row in score(tmp_path, tmp_path / "in.parquet")}
    assert all(row["error"] is None for row in found.values())
    for one, other in (
        ("upright", "by its note"),
        ("upright", "webp"),
        ("on white", "transparent"),
    ):
        for emotion in EMOTIONS:
            expected = pytest.approx(found[other][emotion], abs=0.05)
            assert found[one][emotion] == expected, (one, other)
    assert found["44100 WAV"]["modalities"] == ["audio"]
    for name in ("44100 WAV", "48000 OGG", "22050 MP3"):
        assert found[name]["joy"] == pytest.approx(found["16000 FLAC"]["joy"], abs=0.1)
    assert [name for name, row in found.items() if row["truncated"]] == ["long"]


def test_the_pictures_of_the_reports_kind(tmp_path: Path) -> None:
    """Cut off, of no format, a zero-byte one, and one beside a good sound."""
    whole = jpeg((200, 150))
    rows: list[dict[str, object]] = [
        {"id": "cut", "text": "I am so happy!", "image": whole[: len(whole) // 2]},
        {"id": "empty", "text": "I am so happy!", "image": b""},
        {"id": "both", "image": b"\x00" * 50, "audio": _tone(16_000, "FLAC")},
        {"id": "two", "image": b"x", "audio": b"y"},
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=MEDIA_SCHEMA), tmp_path / "in.parquet")
    cut, empty, both, two = score(tmp_path, tmp_path / "in.parquet", expected_errors=4)
    assert "image: the JPEG is cut off" in cut["error"]
    assert empty["error"] == "image: the picture is empty"
    assert (cut["dominant"], empty["dominant"]) == ("joy", "joy")
    assert both["modalities"] == ["audio"]
    assert both["error"].startswith("image: ")
    assert "; audio: " in two["error"]
    assert (two["dominant"], two["modalities"]) == (None, [])


IDS: dict[str, tuple[pa.Array, list[str | None]]] = {
    "int64": (pa.array([7, None, 7]), ["7", None, "7"]),
    "uint8": (pa.array([1, 2, 3], pa.uint8()), ["1", "2", "3"]),
    "float of pandas": (pa.array([1.0, None, 2.5]), ["1", None, "2.5"]),
    "large_string": (pa.array(["a", "b", None], pa.large_string()), ["a", "b", None]),
    "dictionary": (pa.array(["a", "b", "a"]).dictionary_encode(), ["a", "b", "a"]),
    "binary": (pa.array([b"a", b"b", b"\xff"]), ["a", "b", "ff"]),
    "bool": (pa.array([True, False, None]), ["True", "False", None]),
    "null": (pa.nulls(3), [None] * 3),
}


@pytest.mark.parametrize("kind", IDS)
def test_ids_of_any_kind_come_back_as_text(tmp_path: Path, tiny: Path, kind: str) -> None:
    ids, expected = IDS[kind]
    pq.write_table(pa.table({"id": ids, "text": ["so happy"] * 3}), tmp_path / "in.parquet")
    score_parquet(tiny, tmp_path / "in.parquet", tmp_path / "out.parquet", "cpu")
    assert pq.read_table(tmp_path / "out.parquet")["id"].to_pylist() == expected


TEXTS: dict[str, pa.Array] = {
    "large_string": pa.array(["so happy"], pa.large_string()),
    "dictionary": pa.array(["so happy"]).dictionary_encode(),
    "binary": pa.array([b"so happy"]),
    "view": pa.array(["so happy"], pa.string_view()),
    "not quite UTF-8": pa.StringArray.from_buffers(
        1, pa.py_buffer(b"\0\0\0\0\x0a\0\0\0"), pa.py_buffer(b"so \xffhappy ")
    ),
}


@pytest.mark.parametrize("kind", TEXTS)
def test_texts_of_any_kind_are_read(tmp_path: Path, tiny: Path, kind: str) -> None:
    pq.write_table(pa.table({"ID": ["a"], "Text": TEXTS[kind]}), tmp_path / "in.parquet")
    score_parquet(tiny, tmp_path / "in.parquet", tmp_path / "out.parquet", "cpu")
    [row] = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert (row["id"], row["modalities"]) == ("a", ["text"])


LINES = {
    "in.csv": "\ufeffid;text\n1;so happy\n2;\n",
    "in.tsv": "id\ttext\n1\tso happy\n2\t\n",
    "in.jsonl": '{"id": 1, "text": "so happy"}\n\n{"id": "2", "text": null, "more": [1]}\n',
    "in.json": '[{"id": 1, "text": "so happy"},\n {"id": 2}]',
}


@pytest.mark.parametrize("name", [*LINES, "in.csv.gz", "in.jsonl.gz"])
def test_csv_and_json_lines(tmp_path: Path, tiny: Path, name: str) -> None:
    data = LINES[name.removesuffix(".gz")].encode()
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    score_parquet(tiny, tmp_path / name, tmp_path / "out.parquet", "cpu")
    one, other = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert (one["id"], one["modalities"], other["id"]) == ("1", ["text"], "2")
    assert (other["dominant"], other["error"]) == (None, None)


def test_a_wrong_value_of_json_costs_the_part_and_pictures_are_in_base64(tmp_path: Path) -> None:
    rows = [
        {"id": "a", "text": 7, "image": base64.b64encode(jpeg()).decode()},
        {"id": "b", "text": "I am so happy!", "image": "a.jpg"},
        {"id": "c", "text": "half \ud83d of a sign"},
    ]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    a, b, c = score(tmp_path, tmp_path / "in.jsonl", expected_errors=2)
    assert (a["modalities"], a["error"]) == (["image"], "text: expected text, found 7")
    assert (b["modalities"], b["dominant"]) == (["text"], "joy")
    assert "image: expected the bytes of a file in base64, found 'a.jpg'" in b["error"]
    assert (c["modalities"], c["error"]) == (["text"], None)


REFUSED: dict[str, tuple[pa.Table, str]] = {
    "no id": (pa.table({"text": ["a"], "n": [1]}), "has no column id; it has text, n$"),
    "two ids": (pa.table([["a"], ["b"]], ["ID", "Id"]), "more than one column id$"),
    "nested ids": (pa.table({"id": [["a"]]}), "the column id holds list<.*; it must hold text or"),
    "numbers for texts": (
        pa.table({"id": ["a"], "text": [7]}),
        "the column text holds int64; it must hold text$",
    ),
    "lists for texts": (pa.table({"id": ["a"], "text": [["b"]]}), "the column text holds list<"),
    "paths for pictures": (
        pa.table({"id": ["a"], "image": ["a.jpg"]}),
        "the column image holds string; it must hold the bytes of files, or structs {bytes, path}$",
    ),
    "a struct of strings": (
        pa.table({"id": ["a"], "audio": [{"bytes": "x", "path": "y"}]}),
        "the column audio holds struct<",
    ),
    "a list of pictures": (
        pa.table({"id": ["a"], "image": pa.array([[b"x"]])}),
        "the column image holds list<",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_a_column_cannot_hold_is_refused_by_name(tmp_path: Path, case: str) -> None:
    table, sentence = REFUSED[case]
    pq.write_table(table, tmp_path / "in.parquet")
    with pytest.raises(DataError, match=sentence) as refused:
        score_parquet(DEFAULT_RELEASE, tmp_path / "in.parquet", tmp_path / "o.parquet", "cpu")
    assert "in.parquet" in str(refused.value)
    assert "\n" not in str(refused.value)


FILES = {
    "in.parquet": (b"", "is empty"),
    "other.parquet": (b"id,text\n", "cannot be read as Parquet"),
    "magic.parquet": (b"PAR1PAR1", "cannot be read as Parquet"),
    "in.csv": (b"", "is empty"),
    "wide.csv": (b"id,text\n1,a,b\n", "line 2 has 3 cells, its first line 2"),
    "latin.csv": ("id,text\n1,é\n".encode("latin-1"), "it is not UTF-8 text"),
    "in.jsonl": (b'{"id": 1}\nnot json\n', "line 2 is no JSON"),
    "list.jsonl": (b"1\n", "line 1 is no JSON object"),
    "in.csv.gz": (b"id,text\n", "cannot be read"),
    "cut.csv.gz": (gzip.compress(b"id,text\n" + b"1,so\n" * 10_000)[:-20], "cannot be read"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_none_is_refused_in_a_sentence(
    tmp_path: Path, tiny: Path, name: str
) -> None:
    data, sentence = FILES[name]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError, match=sentence) as refused:
        score_parquet(tiny, tmp_path / name, tmp_path / "out.parquet", "cpu")
    assert name in str(refused.value)
    assert not (tmp_path / "out.parquet").exists()


def test_no_rows_and_nothing_to_read(tmp_path: Path, tiny: Path) -> None:
    out = tmp_path / "out.parquet"
    source = write(tmp_path / "in.parquet", [{"id": "a", "emotions": 1}])
    assert score_parquet(tiny, source, out, "cpu") == 0
    assert pq.read_table(out)["dominant"].to_pylist() == [None]
    for name, data in {"in.csv": "id,text\n", "in.jsonl": "\n"}.items():
        (tmp_path / name).write_text(data)
    assert score_parquet(tiny, tmp_path / "in.csv", out, "cpu") == 0
    assert pq.read_table(out).num_rows == 0
    pq.write_table(pa.table({"id": pa.array([], pa.string())}), source)
    assert score_parquet(tiny, source, out, "cpu") == 0
    with pytest.raises(DataError, match="has no column id; it has none"):
        score_parquet(tiny, tmp_path / "in.jsonl", out, "cpu")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release that loads in no time."""
    return make_release(tmp_path_factory.mktemp("releases") / "tiny")


def _saved(picture: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def _tone(rate: int, kind: str, seconds: float = 1.5) -> bytes:
    out = io.BytesIO()
    soundfile.write(
        out, 0.3 * np.sin(np.arange(int(seconds * rate)) * 1400 / rate), rate, format=kind
    )
    return out.getvalue()


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
