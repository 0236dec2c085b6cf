"""Reading JSON that a platform may change at any time: what is of another type counts as absent."""

from __future__ import annotations

from datetime import datetime
from html import unescape
from html.parser import HTMLParser
from typing import Any

from pipeline.errors import Unreadable
from pipeline.times import parse_time

_BLOCKS = {"p", "div", "li", "blockquote", "pre", "ul", "ol", "h1", "h2", "h3"}


def text(data: dict[str, Any], *names: str) -> str | None:
    """The first of these fields that is a text and not empty."""
    found = (data.get(name) for name in names)
    return next((value for value in found if isinstance(value, str) and value.strip()), None)


def empty_text(data: dict[str, Any], *names: str) -> str | None:
    """An empty text where one of these fields is a text: the post has words, if only no visible
    ones. None where there is none of them.
    """
    return "" if any(isinstance(data.get(name), str) for name in names) else None


def number(data: dict[str, Any], name: str) -> int | None:
    """A field that is a number; None else."""
    value = data.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def identity(data: dict[str, Any], *names: str) -> str | None:
    """The first of these fields that is an id: a text, or a number as a text."""
    for name in names:
        value = data.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        if isinstance(value, str) and value.strip():
            return value
    return None


def identities(data: dict[str, Any], name: str) -> list[str]:
    """The ids in a field that is a list."""
    value = data.get(name)
    found = (identity({name: item}, name) for item in value) if isinstance(value, list) else ()
    return [item for item in found if item is not None]


def member(data: dict[str, Any], name: str) -> dict[str, Any]:
    """A field that is an object; an empty one else."""
    value = data.get(name)
    return value if isinstance(value, dict) else {}


def members(data: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """The objects in a field that is a list."""
    value = data.get(name)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def old_time(value: object, field: str) -> datetime:
    """A time as X and Weibo write it, `Wed Apr 16 18:58:11 +0800 2014`, or one for `parse_time`.

    Raises:
        Unreadable: with the field, the value and what is expected.
    """
    if isinstance(value, str):
        try:
            return parse_time(datetime.strptime(value, "%a %b %d %H:%M:%S %z %Y"), field)
        except ValueError:
            pass
    return parse_time(value, field)


def one(data: dict[str, Any], name: str, what: str) -> None:
    """Refuse a page of many where one is expected.

    Raises:
        Unreadable: the field is a list.
    """
    if isinstance(data.get(name), list):
        raise Unreadable(f"{name} is a list: a page of {what}; send each of them as a record")


def plain(html: str) -> str:
    """The text of HTML as a browser shows it: blocks and breaks as lines, hidden parts left out."""
    if "<" not in html:
        return unescape(html).strip()
    reader = _Plain()
    reader.feed(html)
    reader.close()
    lines = "".join(reader.parts).split("\n")
    return "\n".join(line.strip() for line in lines).strip()


class _Plain(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._hidden: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "br" or (tag in _BLOCKS and self.parts):
            self.parts.append("\n")
        elif tag == "img" and not self._hidden:
            # Weibo's emoji are pictures whose alternative text is their name: [笑cry].
            self.parts.append(given.get("alt") or "")
        elif self._hidden or "invisible" in (given.get("class") or "").split():
            self._hidden.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._hidden and self._hidden[-1] == tag:
            self._hidden.pop()

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.parts.append(data)
