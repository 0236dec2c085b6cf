"""Three aligned CSV files of one's own: `text_data.csv`, `image_data.csv`, `audio_data.csv`.

Each has a column of data (the text, or the path of a file, relative to the CSV) and a `label`.
Rows belong together by their `id` where all files have that column, else by their number. A file
or a cell may be missing: the post lacks that modality then.
"""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.classic.posts import Posts
from models.corpora import DataError
from models.labels import MODALITIES, Modality
from models.preprocess.cleaning import Clean, Kind, Part, Spoilt, plain

FILES = {name: f"{name}_data.csv" for name in MODALITIES}
DATA_COLUMNS: dict[str, tuple[str, ...]] = {
    "text": ("text", "content", "sentence", "tweet", "post"),
    "image": ("path", "image", "image_path", "file", "filename"),
    "audio": ("path", "audio", "audio_path", "file", "filename"),
}
LABEL_COLUMNS = ("label", "emotion", "sentiment", "class", "target")
ID_COLUMNS = ("id", "post_id")


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a file: where it stands, for messages; its data, "" for none; its label."""

    place: str
    data: str
    label: str


def read_csv_folder(folder: Path, clean: Clean = plain) -> Posts:
    """The posts of a folder, in the order of the first file; their media through `clean`.

    Raises DataError, naming file and line, where files, columns or media are missing, files do
    not align, or the labels of one post differ.
    """
    files = {name: folder / file for name, file in FILES.items() if (folder / file).is_file()}
    if not files:
        raise DataError(f"{folder} holds none of {', '.join(FILES.values())}")
    tables = {name: _read(path, name) for name, path in files.items()}
    with_id = [name for name, (ids, _) in tables.items() if ids is not None]
    if len(with_id) == len(tables):
        keyed = {
            name: _by_id(files[name], ids or [], lines) for name, (ids, lines) in tables.items()
        }
    else:
        _check_lengths({files[name]: len(lines) for name, (_, lines) in tables.items()})
        keyed = {
            name: {str(number): line for number, line in enumerate(lines)}
            for name, (_, lines) in tables.items()
        }
    return _join(folder, keyed, clean)


def _read(path: Path, modality: Modality) -> tuple[list[str] | None, list[Line]]:
    """The ids, None where there is no such column, and the lines."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            names = {(name or "").strip().lower(): name for name in reader.fieldnames or ()}
            data = _column(path, names, DATA_COLUMNS[modality])
            label = _column(path, names, LABEL_COLUMNS)
            key = next((names[name] for name in ID_COLUMNS if name in names), None)
            ids: list[str] = []
            lines: list[Line] = []
            for row in reader:
                place = f"{path}, line {reader.line_num}"
                lines.append(
                    Line(place, (row[data] or "").strip(), (row[label] or "").strip().lower())
                )
                ids.append((row[key] or "").strip() if key else "")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8: save it as UTF-8") from error
    except csv.Error as error:
        raise DataError(f"{path} is no CSV: {error}") from error
    if not lines:
        raise DataError(f"{path} has no rows")
    return (ids if key else None), lines


def _column(path: Path, names: Mapping[str, str], wanted: tuple[str, ...]) -> str:
    found = next((names[name] for name in wanted if name in names), None)
    if found is None:
        raise DataError(
            f"{path} has no column {' or '.join(wanted)}; its first line names {', '.join(names)}"
        )
    return found


def _by_id(path: Path, ids: list[str], lines: list[Line]) -> dict[str, Line]:
    keyed: dict[str, Line] = {}
    for key, line in zip(ids, lines, strict=True):
        if not key or key in keyed:
            trouble = f"the id {key!r} stands twice" if key else "the id is empty"
            raise DataError(f"{line.place}: {trouble}; each post has one line in {path.name}")
        keyed[key] = line
    return keyed


def _check_lengths(lengths: Mapping[Path, int]) -> None:
    if len(set(lengths.values())) > 1:
        counts = ", ".join(f"{path.name} {count}" for path, count in lengths.items())
        raise DataError(
            f"the files do not align ({counts} rows): give each an id column, or the same rows"
        )


def _join(folder: Path, keyed: Mapping[Modality, Mapping[str, Line]], clean: Clean) -> Posts:
    keys = list(dict.fromkeys(key for lines in keyed.values() for key in lines))
    labels = [_label([lines[key] for lines in keyed.values() if key in lines]) for key in keys]
    classes = tuple(sorted(set(labels)))
    if len(classes) < 2:
        raise DataError(f"{folder} has one label only ({classes[0]}): there is nothing to learn")
    columns = {
        name: [keyed[name].get(key) if name in keyed else None for key in keys]
        for name in MODALITIES
    }
    return Posts(
        [line.data if line and line.data else None for line in columns["text"]],
        _files(folder, columns["image"], "image", clean),
        _files(folder, columns["audio"], "audio", clean),
        np.array([classes.index(label) for label in labels], np.int64),
        classes,
    )


def _label(lines: list[Line]) -> str:
    """The one label of a post, which a line may leave out."""
    labels = {line.label: line for line in lines if line.label}
    if not labels:
        raise DataError(f"{lines[0].place}: the label is empty")
    if len(labels) > 1:
        said = " and ".join(f"{label!r} ({line.place})" for label, line in labels.items())
        raise DataError(f"the files disagree on the label of one post: {said}")
    return next(iter(labels))


def _files(
    folder: Path, lines: Sequence[Line | None], kind: Kind, clean: Clean
) -> list[bytes | None]:
    named = [(at, line) for at, line in enumerate(lines) if line is not None and line.data]
    found: list[bytes | None] = [None] * len(lines)
    if not named:
        return found
    answers = clean([Part(kind, _bytes(folder / line.data, line)) for _, line in named])
    for (at, line), answer in zip(named, answers, strict=True):
        if isinstance(answer, Spoilt):
            raise DataError(f"{line.place}: {folder / line.data}: {answer.reason}")
        found[at] = answer.data
    return found


def _bytes(path: Path, line: Line) -> bytes:
    if not path.is_file():
        raise DataError(f"{line.place}: there is no file {path}")
    return path.read_bytes()
