"""A quote that is left open in a CSV file takes the rows behind it: it is named by its line."""

from pathlib import Path

import pytest

from models.errors import DataError
from models.row_files import open_rows

OPEN = {
    "in the last row": ('id,text\n1,so happy\n2,"so sad\n', 3),
    "before other rows": ('id,text\n1,"so happy\n2,so sad\n3,fine\n', 2),
    "without a last newline": ('id,text\n1,so happy\n2,"so sad', 3),
    "after a cell of two lines": ('id,text\n1,"so\nhappy"\n2,"so sad\n', 4),
    "in the only column": ('text\n"so happy\nso sad\n', 2),
    "in the header": ('id,"text\n1,so happy\n', 1),
}


@pytest.mark.parametrize("name", OPEN)
def test_an_open_quote_is_named_by_its_line(tmp_path: Path, name: str) -> None:
    text, line = OPEN[name]
    file = tmp_path / "posts.csv"
    file.write_text(text)
    with pytest.raises(DataError, match=rf"posts\.csv line {line}: a quote is opened there"):
        open_rows(file, ["id", "text"]).rows()


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\n\n"])
def test_quotes_that_are_closed_are_read(tmp_path: Path, end: str) -> None:
    file = tmp_path / "posts.csv"
    file.write_text('id,text\n1,"so\nhappy"\n2,5" tall\n3,"she said ""no"""' + end, newline="")
    rows = open_rows(file, ["id", "text"]).rows()
    assert [row["text"] for row in rows] == ["so\nhappy", '5" tall', 'she said "no"']
