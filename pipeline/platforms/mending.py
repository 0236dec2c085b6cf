"""Reading JSON that is nearly right: half characters, other encodings of Unicode, stray bytes.

Called only where a strict decode failed, so that what is right pays nothing. What stands for no
character becomes U+FFFD, the rest stays as it was.
"""

from __future__ import annotations

import codecs
import json
import re
from typing import Any

from pipeline.errors import Unreadable

_REPLACEMENT = "\ufffd"
_PAIR = re.compile(rb"\xed[\xa0-\xaf][\x80-\xbf]\xed[\xb0-\xbf][\x80-\xbf]")
_HALF = re.compile(rb"\xed[\xa0-\xbf][\x80-\xbf]")
"""Halves of UTF-16 written as if they were characters: CESU-8, and what is left of a cut one."""
_SURROGATE = re.compile("[\ud800-\udfff]")
_BOM = "\ufeff"
_MOST_DIGITS = 1000
_FEW = 3
_FOREIGN = 1 / 2
"""A text of which more than this share is no UTF-8, and more than a FEW characters, is in another
encoding: what would be left of it are no words."""


def mended(value: bytes) -> Any:
    """The data of a JSON record that a strict decoder refuses.

    Raises:
        Unreadable: it is not JSON in any encoding of Unicode.
    """
    text = _decoded(value)
    try:
        # Characters below the space are no JSON in a text, and say what they mean all the same.
        return _whole(json.loads(text, strict=False, parse_int=_number))
    except RecursionError as error:
        raise Unreadable("the JSON is nested too deeply") from error
    except ValueError as error:
        raise Unreadable(f"not JSON: {error}") from error


def _number(digits: str) -> int | float:
    """A number of more digits than Python reads is no id, time or count: infinity, like 1e999."""
    return int(digits) if len(digits) <= _MOST_DIGITS else float(digits)


def _decoded(value: bytes) -> str:
    # UTF-16 and UTF-32 are known by their byte order mark or by where the zeros of `{"` stand.
    encoding = json.detect_encoding(value)
    wide = not encoding.startswith("utf-8")
    text = value.decode(encoding, "replace") if wide else _utf8(value)
    return text.strip(_BOM + "\x00 \t\r\n")


def _utf8(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        place = error.start
    joined = _PAIR.sub(lambda pair: _joined(pair[0]), value.removeprefix(codecs.BOM_UTF8))
    text = _HALF.sub(_REPLACEMENT.encode(), joined).decode("utf-8", "replace")
    for part in re.findall(r'"[^"]*"', text):
        wrong = part.count(_REPLACEMENT)
        if wrong > _FEW and wrong > _FOREIGN * len(part):
            raise Unreadable(f"not UTF-8 at byte {place}; expected a JSON object")
    return text


def _joined(pair: bytes) -> bytes:
    halves = pair.decode("utf-8", "surrogatepass").encode("utf-16-le", "surrogatepass")
    return halves.decode("utf-16-le").encode()


def _whole(data: Any) -> Any:
    """The data without halves of characters, whose other half is missing."""
    if isinstance(data, str):
        return _SURROGATE.sub(_REPLACEMENT, data)
    if isinstance(data, list):
        return [_whole(item) for item in data]
    if isinstance(data, dict):
        return {_whole(name): _whole(item) for name, item in data.items()}
    return data
