"""Reading JSON that a platform may change at any time: what is of another type counts as absent."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from html import unescape
from typing import Any

from pipeline.errors import Unreadable
from pipeline.times import parse_time

_BLOCKS = {"p", "div", "li", "blockquote", "pre", "ul", "ol", "h1", "h2", "h3"}
_RAW = {"style", "script", "noscript", "title"}
"""What ends at its first end tag, whatever its content looks like."""
_UNSEEN = _RAW | {"head", "template"}
_VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source",
         "track", "wbr"}  # fmt: skip
_MARKUP = re.compile(r"""(<[!?/a-zA-Z][^<>"']*(?:"[^"<]*"[^<>"']*|'[^'<]*'[^<>"']*)*>)""")
"""A tag, or what browsers take for a comment. None reaches beyond the next "<", so that all of them
are found in one pass."""
_NAME = re.compile(r"</?([a-zA-Z][^\s/>]*)")
_ATTRIBUTE = re.compile(r"""[\s"'/](alt|class)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s>]+))""", re.I)
_EMOJI = re.compile(r"\s*(?:\[[^\[\]\s]{1,32}\]|:[\w+\-]{1,64}:|[^\w\s]{1,16})\s*")
"""Emoji are pictures whose alternative text is their name, [笑cry] or :blobcat:, or the emoji
itself. That of another picture describes it and is not what the post says."""


def type_name(value: object) -> str:
    """What a value of JSON is, in its own words."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    kinds = {str: "a text", list: "a list", dict: "an object", int: "a number", float: "a number"}
    return kinds.get(type(value), "something else")


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
    """The text of HTML as a browser shows it: blocks and breaks as lines, hidden parts left out.

    In time that grows with its length alone: `html.parser` takes minutes for one record of
    comments or tags that are not closed.
    """
    if "<" not in html:
        return unescape(html).strip()
    lines = "".join(_shown(_without_comments(html))).split("\n")
    return "\n".join(line.strip() for line in lines).strip()


def _without_comments(html: str) -> str:
    kept, at = [], 0
    while (start := html.find("<!--", at)) >= 0:
        kept.append(html[at:start])
        # "<!-->" is a whole one; one that is not closed reaches to the end.
        end = html.find("-->", start + 2)
        at = len(html) if end < 0 else end + 3
    return "".join((*kept, html[at:]))


def _shown(html: str) -> Iterator[str]:
    """Pieces of text, in their order."""
    hidden, depth = "", 0
    begun = False
    for index, piece in enumerate(_MARKUP.split(html)):
        if index % 2 == 0:
            if piece and not hidden:
                begun = True
                yield unescape(piece)
            continue
        match = _NAME.match(piece)
        if match is None:
            continue
        name = match[1].lower()
        if hidden == "head" and (name == "body" or name in _BLOCKS):
            hidden = ""  # its end tag may be left out
        if hidden:
            if name == hidden:
                depth += -1 if piece.startswith("</") else name not in _RAW
                hidden = hidden if depth else ""
        elif not piece.startswith("</"):
            given = _attributes(piece) if "=" in piece else {}
            if name == "br" or (name in _BLOCKS and begun):
                begun = True
                yield "\n"
            elif name == "img":
                if _EMOJI.fullmatch(alternative := unescape(given.get("alt", ""))):
                    begun = True
                    yield alternative
            elif name in _UNSEEN or (given and _invisible(name, given.get("class", ""))):
                hidden, depth = name, 1


def _attributes(tag: str) -> dict[str, str]:
    return {
        found[1].lower(): found[2] or found[3] or found[4] or ""
        for found in _ATTRIBUTE.finditer(tag)
    }


def _invisible(name: str, classes: str) -> bool:
    """Whether an element has Mastodon's class for what it hides, and can have content."""
    return "invisible" in classes.split() and name not in _VOID
