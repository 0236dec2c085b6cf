"""The values of a file's columns as we work with them.

A value that is something else is a WrongValue, whose text says what was found and what to do.
"""

import base64
import binascii
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from models.labels import EMOTIONS, POLARITIES

MEANS: Final = {
    "happy": "joy",
    "happiness": "joy",
    "sad": "sadness",
    "angry": "anger",
    "fearful": "fear",
    "scared": "fear",
    "surprised": "surprise",
    "disgusted": "disgust",
    "pos": "positive",
    "neg": "negative",
}
"""Other usual names of our labels."""
ROUNDING = 1e-3  # by which a share may lie outside 0-1


class WrongValue(ValueError):
    """A value is not what its column is for."""


def meaning(name: str) -> str:
    """Our name of a label, where it has one; else the name in small letters."""
    lowered = name.strip().lower()
    return MEANS.get(lowered, lowered)


def id_of(value: Any) -> str | None:
    """Any id as text. Whole numbers have no point, also where missing ones made them floats."""
    if value is None or isinstance(value, str):
        return whole_text(value) if value else value
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return value.hex()
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return str(int(value)) if value.is_integer() and abs(value) < 2**63 else repr(value)
    if isinstance(value, (dict, list)):
        raise WrongValue(f"expected text or a number, found {_brief(value)}")
    return str(value)


def text_of(value: Any) -> str | None:
    """A text, None for an empty one. What is not UTF-8 in it becomes U+FFFD."""
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise WrongValue(f"expected text, found {_brief(value)}")
    return whole_text(value)


def whole_text(value: str) -> str:
    """The text with each half of a surrogate pair that stands alone as U+FFFD."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return value


def media_of(value: Any) -> bytes | None:
    """The bytes of a picture or a sound: as they are, in a struct `{bytes, path}`, or in base64,
    which is how JSON and CSV hold them."""
    if isinstance(value, dict):
        if value.get("bytes") is None and value.get("path"):
            raise WrongValue(
                f"{_brief(value['path'])} is named instead of held: save the set with its media"
            )
        value = value.get("bytes")
    if value is None or isinstance(value, bytes):
        return value
    if value == "":
        return None
    if not isinstance(value, str):
        raise WrongValue(f"expected the bytes of a file, found {_brief(value)}")
    try:
        return base64.b64decode(value.partition(";base64,")[2] or value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise WrongValue(
            f"expected the bytes of a file in base64, found {_brief(value)}"
        ) from error


def emotions_of(value: Any) -> list[float] | None:
    """Seven shares in the order of `EMOTIONS`, NaN where not annotated; None for a null.

    From a mapping of names, a list of seven, the names that hold, or either as JSON text.
    """
    if isinstance(value, str):
        value = _from_text(value)
    if value is None:
        return None
    if isinstance(value, list) and value and all(isinstance(item, tuple) for item in value):
        value = dict(value)  # a column of Arrow's type map
    if isinstance(value, dict):
        return _named(value)
    if not isinstance(value, list):
        raise WrongValue(f"expected seven numbers or their names, found {_brief(value)}")
    if all(isinstance(item, str) for item in value) and value:
        return [float(name in _known(value)) for name in EMOTIONS]
    if len(value) != len(EMOTIONS):
        raise WrongValue(
            f"expected {len(EMOTIONS)} numbers ({', '.join(EMOTIONS)}), found {len(value)}"
        )
    return [_share(item) for item in value]


def polarity_of(value: Any) -> str | None:
    """One of `POLARITIES`."""
    text = text_of(value)
    if text is None or not text.strip():
        return None
    name = meaning(text)
    if name not in POLARITIES:
        raise WrongValue(f"{_brief(text)} is none of {', '.join(POLARITIES)}")
    return name


def labels_of(value: Any) -> tuple[str, ...]:
    """The corpus's own labels."""
    if value is None or value == "":
        return ()
    if isinstance(value, dict):
        raise WrongValue(f"expected a list of labels, found {_brief(value)}")
    return tuple(str(item) for item in (value if isinstance(value, list) else [value]))


def _named(value: Mapping[Any, Any]) -> list[float]:
    _known([str(name) for name in value])
    found = {meaning(str(name)): item for name, item in value.items() if item is not None}
    return [_share(found.get(name)) for name in EMOTIONS]


def _known(names: Sequence[str]) -> set[str]:
    unknown = [name for name in names if meaning(name) not in EMOTIONS]
    if unknown:
        raise WrongValue(f"{_brief(unknown[0])} is none of {', '.join(EMOTIONS)}")
    return {meaning(name) for name in names}


def _share(value: Any) -> float:
    if value is None or value == "":
        return math.nan
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise WrongValue(f"expected numbers from 0 to 1, found {_brief(value)}") from error
    if math.isnan(number):
        return number
    if not -ROUNDING <= number <= 1 + ROUNDING:
        raise WrongValue(f"expected numbers from 0 to 1, found {number:g}")
    return min(1.0, max(0.0, number))


def _from_text(value: str) -> Any:
    stripped = value.strip()
    if not stripped:
        return None
    if stripped[0] in "[{":
        try:
            return json.loads(stripped)
        except ValueError as error:
            raise WrongValue(f"{_brief(value)} is no JSON") from error
    return [name for name in stripped.replace(";", ",").split(",") if name.strip()]


def _brief(value: Any) -> str:
    shown = whole_text(repr(value))
    return shown if len(shown) <= 60 else f"{shown[:57]}…"
