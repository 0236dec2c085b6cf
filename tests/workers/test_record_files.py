"""Files of records in every form in which people have them, or a sentence."""

from __future__ import annotations

import codecs
import gzip
import json
import math
import os
import threading
from pathlib import Path

import pytest

from pipeline.errors import SettingsError
from pipeline.settings import Settings
from workers.record_files import count_records, read_records
from workers.send import send_files

LINES = b'{"id":"a","text":"so \xe5\xa5\xbd"}\n{"id":"b"}\n'
RECORDS = [json.loads(line) for line in LINES.splitlines()]
PRETTY = json.dumps(RECORDS, indent=2).encode()
ONE_AFTER_ANOTHER = "\n".join(json.dumps(one, indent=1) for one in RECORDS).encode()
FORMS = {
    "lines": LINES,
    "without a last newline": LINES.rstrip(),
    "CRLF": LINES.replace(b"\n", b"\r\n"),
    "empty lines": b"\n \n" + LINES.replace(b"\n", b"\n\n"),
    "byte order mark": codecs.BOM_UTF8 + LINES,
    "UTF-16": LINES.decode().encode("utf-16"),
    "UTF-16 the other way": codecs.BOM_UTF16_BE + LINES.decode().encode("utf-16-be"),
    "gzip": gzip.compress(LINES),
    "gzip with a mark inside": gzip.compress(codecs.BOM_UTF8 + LINES),
    "two gzips": gzip.compress(LINES[:30]) + gzip.compress(LINES[30:]),
    "an array": PRETTY,
    "an array with a mark": codecs.BOM_UTF8 + PRETTY,
    "an array in gzip": gzip.compress(PRETTY),
    "an array on one line": json.dumps(RECORDS).encode(),
    "an array of lines": b"[\n" + LINES.strip().replace(b"\n", b",\n") + b"\n]\n",
    "one after another": ONE_AFTER_ANOTHER,
    "one after another, on a line": LINES.replace(b"\n", b""),
    "lines with commas": LINES.strip().replace(b"\n", b",\n"),
}


@pytest.mark.parametrize("form", FORMS)
def test_all_forms_are_the_same_records(tmp_path: Path, form: str) -> None:
    file = tmp_path / "posts"
    file.write_bytes(FORMS[form])
    records = [value for _, value in read_records(file)]
    assert [json.loads(value) for value in records] == RECORDS
    assert not any(b"\n" in value for value in records)


def test_a_line_that_is_no_json_is_for_ingest_to_refuse(tmp_path: Path) -> None:
    file = tmp_path / "posts"
    file.write_bytes(b'not json\n{"id":"a"}\n{"id":\n{"id":"b", "text":"\xff"}\n')
    assert [value for _, value in read_records(file)] == file.read_bytes().splitlines()
    assert next(read_records(file))[0] == f"{file} line 1"


def test_lines_are_given_as_they_stand(tmp_path: Path) -> None:
    file = tmp_path / "posts"
    line = b'{ "id": "a", "n": 1.10, "text": "\\ud83d" }'
    file.write_bytes(line + b"\n")
    assert [value for _, value in read_records(file)] == [line]
    file.write_bytes(b"[" + line + b"]")
    assert json.loads(next(read_records(file))[1]) == json.loads(line)


NONE = {
    "empty": (b"", "is empty"),
    "blank": (b"\n \n", "is empty"),
    "an empty array": (b"[]", "holds no records"),
    "CSV": (b"id,text\n1,so happy\n", "holds no JSON records: line 1 is 'id,text'"),
    "HTML": (b"<html>\n</html>\n", "holds no JSON records"),
    "a picture": (b"GIF89a\x00\xff\n\n\x01", "holds no JSON records"),
    "Parquet": (b"PAR1\x00\x00", "is Parquet: send reads JSON"),
    "ZIP": (b"PK\x03\x04\x00", "is ZIP: send reads JSON"),
    "numbers": (b"[1, 2]", "element 1 is no JSON object: '1'"),
    "a cut array": (PRETTY[:-20], "is no JSON after 0 records"),
    "cut objects": (ONE_AFTER_ANOTHER[:-6], "is no JSON after 1 records"),
    "cut gzip": (gzip.compress(LINES * 999)[:-30], "is damaged"),
    "no gzip": (b"\x1f\x8bno", "cannot be read|is damaged"),
    "UTF-16 without a mark": (LINES.decode().encode("utf-16-le"), "is no JSON|holds no JSON"),
    "half of UTF-16": (codecs.BOM_UTF16_LE + b"{\x00\x00\xd8\n\x00", "is no UTF-16 text"),
}


@pytest.mark.parametrize("case", NONE)
def test_what_holds_no_records_is_refused_in_a_sentence(tmp_path: Path, case: str) -> None:
    data, sentence = NONE[case]
    file = tmp_path / "posts"
    file.write_bytes(data)
    with pytest.raises(SettingsError, match=sentence) as refused:
        list(read_records(file))
    assert str(refused.value).startswith(str(file))
    assert "\n" not in str(refused.value)


def test_what_comes_through_a_pipe_goes_on_as_it_comes(tmp_path: Path) -> None:
    """The first record is there before the second is written."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    seen = threading.Event()

    def write() -> None:
        with pipe.open("wb", buffering=0) as out:
            out.write(b'{"id":"a"}\n')
            assert seen.wait(30)
            out.write(b'{"id":"b"}\n')

    writer = threading.Thread(target=write)
    writer.start()
    records = read_records(pipe)
    assert next(records)[1] == b'{"id":"a"}'
    seen.set()
    assert next(records)[1] == b'{"id":"b"}'
    writer.join()


MARKDOWN = b"# Posts\n\nOne a line:\n\n```json\n" + LINES[:30].splitlines()[0] + b"\n```\n"
MARKDOWN += b"Send them with care.\n\n" * 60


@pytest.mark.parametrize("before", [b"", LINES, b"\n"])
def test_a_file_of_other_lines_is_refused_though_one_of_them_is_a_record(
    tmp_path: Path, before: bytes
) -> None:
    file = tmp_path / "README.md"
    file.write_bytes(before + MARKDOWN)
    number = before.count(b"\n") + 1
    with pytest.raises(
        SettingsError, match=rf"line {number} is '# Posts', and [56]\d of its"
    ) as no:
        count_records(file)
    assert "nothing of it was sent" in str(no.value)
    assert "\n" not in str(no.value)


def test_other_lines_through_a_pipe_are_refused_before_the_first_is_sent(tmp_path: Path) -> None:
    file = tmp_path / "README.md"
    file.write_bytes(MARKDOWN)
    with pytest.raises(SettingsError, match="no file of JSON records: line 1 is '# Posts'"):
        next(read_records(file))


@pytest.mark.parametrize(
    "lines",
    [
        [b"not json", *LINES.splitlines()],
        [*LINES.splitlines(), b"17", b'{"id":'],
        [b'{"id":"\xff\xff"}', b'{"n":' + b"9" * 5000 + b"}", b'{"text":"\\ud83d"}', b"?"],
    ],
)
def test_a_few_bad_lines_among_records_are_counted_and_sent(
    tmp_path: Path, lines: list[bytes]
) -> None:
    file = tmp_path / "posts.jsonl"
    file.write_bytes(b"\n".join(lines))
    assert count_records(file) == len(lines)
    assert [value for _, value in read_records(file)] == lines


@pytest.mark.parametrize("rate", [math.nan, math.inf, -math.inf, 0.0, -1.0])
def test_a_rate_that_is_none_is_refused(tmp_path: Path, rate: float) -> None:
    with pytest.raises(SettingsError, match="--rate"):
        send_files(Settings(), [tmp_path / "posts"], "weathervane", rate)
