"""The parts of the page: numbers, tables, pictures, as HTML."""

import base64
from collections.abc import Sequence
from html import escape

from models.intervals import Difference, Estimate


def estimate(value: Estimate | None) -> str:
    """A score and its interval; nothing for None."""
    if value is None:
        return ""
    return f"{value.value:.3f} <small>[{value.low:.3f}, {value.high:.3f}]</small>"


def difference(value: Difference) -> str:
    """With its sign."""
    return f"{value.value:+.3f} <small>[{value.low:+.3f}, {value.high:+.3f}]</small>"


def p_value(value: float) -> str:
    """Three digits."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """The cells are HTML already."""
    rows = [_row("th", head), *(_row("td", line) for line in lines)]
    return f'<div class="wide"><table>{"".join(rows)}</table></div>'


def picture(data: bytes, alt: str) -> str:
    """A PNG file within the page."""
    encoded = base64.b64encode(data).decode()
    return f'<figure><img alt="{escape(alt)}" src="data:image/png;base64,{encoded}"></figure>'


def _row(tag: str, cells: Sequence[str]) -> str:
    return "<tr>" + "".join(f"<{tag}>{cell}</{tag}>" for cell in cells) + "</tr>"
