"""Which types a column of a Parquet file may have."""

from collections.abc import Callable

import pyarrow as pa
import pyarrow.types as kinds

from models.columns import meaning
from models.labels import EMOTIONS, POLARITIES


def wrong_type(column: str, given: pa.DataType) -> str | None:
    """Why this column cannot be of this type; None where it can."""
    kind = _plain(given)
    if kinds.is_null(kind) or column not in _FITS:
        return None
    if column == "emotions" and kinds.is_struct(kind):
        unknown = [field.name for field in kind if meaning(field.name) not in EMOTIONS]
        if unknown:
            return f"names {', '.join(unknown)}; known are {', '.join(EMOTIONS)}"
    wanted, fits = _FITS[column]
    return None if fits(kind) else f"holds {_shown(given)}; it must hold {wanted}"


def _plain(kind: pa.DataType) -> pa.DataType:
    """What the values are, whatever way they are stored."""
    while True:
        if kinds.is_dictionary(kind) or kinds.is_run_end_encoded(kind):
            kind = kind.value_type
        elif isinstance(kind, pa.BaseExtensionType):
            kind = kind.storage_type
        else:
            return kind


def _is_text(kind: pa.DataType) -> bool:
    return any(
        test(kind) for test in (kinds.is_string, kinds.is_large_string, kinds.is_string_view)
    )


def _is_bytes(kind: pa.DataType) -> bool:
    tests = (
        kinds.is_binary,
        kinds.is_large_binary,
        kinds.is_binary_view,
        kinds.is_fixed_size_binary,
    )
    return any(test(kind) for test in tests)


def _is_list(kind: pa.DataType) -> bool:
    tests = (
        kinds.is_list,
        kinds.is_large_list,
        kinds.is_fixed_size_list,
        kinds.is_list_view,
        kinds.is_large_list_view,
    )
    return any(test(kind) for test in tests)


def _is_number(kind: pa.DataType) -> bool:
    tests = (
        kinds.is_integer,
        kinds.is_floating,
        kinds.is_decimal,
        kinds.is_boolean,
        kinds.is_null,
    )
    return any(test(kind) for test in tests)


def _is_scalar(kind: pa.DataType) -> bool:
    return not kinds.is_nested(kind)


def _is_words(kind: pa.DataType) -> bool:
    return _is_text(kind) or _is_bytes(kind)


def _is_media(kind: pa.DataType) -> bool:
    if not kinds.is_struct(kind):
        return _is_bytes(kind)
    place = kind.get_field_index("bytes")
    if place < 0:
        return False
    held = _plain(kind.field(place).type)
    return _is_bytes(held) or kinds.is_null(held)


def _are_emotions(kind: pa.DataType) -> bool:
    if kinds.is_struct(kind):
        return all(_is_number(_plain(field.type)) for field in kind)
    if kinds.is_map(kind):
        return _is_text(_plain(kind.key_type)) and _is_number(_plain(kind.item_type))
    if _is_list(kind):
        inner = _plain(kind.value_type)
        return _is_number(inner) or _is_text(inner)
    return _is_text(kind)


def _are_labels(kind: pa.DataType) -> bool:
    return _is_scalar(_plain(kind.value_type) if _is_list(kind) else kind)


def _shown(kind: pa.DataType) -> str:
    text = str(kind)
    return text if len(text) <= 60 else f"{text[:57]}…"


_MEDIA = ("the bytes of files, or structs {bytes, path}", _is_media)
_SEVEN = f"a number from 0 to 1 for each of {', '.join(EMOTIONS)}"
_FITS: dict[str, tuple[str, Callable[[pa.DataType], bool]]] = {
    "id": ("text or numbers", _is_scalar),
    "lang": ("text", _is_words),
    "text": ("text", _is_words),
    "image": _MEDIA,
    "audio": _MEDIA,
    "emotions": (_SEVEN, _are_emotions),
    "polarity": (f"one of {', '.join(POLARITIES)}", _is_words),
    "labels": ("lists of labels", _are_labels),
    "group": ("text or numbers", _is_scalar),
    **dict.fromkeys(EMOTIONS, ("numbers from 0 to 1", _is_number)),
}
