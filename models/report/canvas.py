"""matplotlib, if it is there: figures that are drawn to bytes, and fonts for what they say."""

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from models.errors import ModelError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe & Ito 2008: told apart with any colour vision.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999")
DPI = 110
INK, FAINT = "#222222", "#dddddd"
CJK_FONTS = (
    "Noto Sans CJK SC",
    "Noto Sans SC",
    "Source Han Sans SC",
    "WenQuanYi Micro Hei",
    "PingFang SC",
    "Microsoft YaHei",
    "SimHei",
    "Noto Sans CJK JP",
    "Arial Unicode MS",
)
EMOJI_FONTS = ("Noto Emoji", "Symbola", "Segoe UI Symbol", "Apple Symbols")


class PlotError(ModelError):
    """Nothing can be drawn; the message says what to install."""


def figure(width: float, height: float) -> "Figure":
    """An empty figure of this size in inches, no screen needed.

    Raises PlotError where matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise PlotError(
            "pictures need matplotlib, which is not installed: pip install matplotlib"
        ) from error
    return Figure(figsize=(width, height), dpi=DPI, layout="constrained")


def png(fig: "Figure") -> bytes:
    """The figure as a PNG file."""
    out = io.BytesIO()
    fig.savefig(out, format="png")
    return out.getvalue()


def plain(axes: "Axes", title: str = "") -> "Axes":
    """The look of every plot here: no box, faint lines, a title on the left."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.tick_params(colors=INK, labelsize=8, length=0)
    axes.grid(color=FAINT, linewidth=0.5)
    axes.set_axisbelow(True)
    if title:
        axes.set_title(title, loc="left", fontsize=10, color=INK)
    return axes


def fonts() -> list[str]:
    """Families to draw any text with, in order: Latin, then Chinese and emoji where installed."""
    from matplotlib.font_manager import fontManager

    installed = {font.name for font in fontManager.ttflist}
    extra = [name for names in (CJK_FONTS, EMOJI_FONTS) for name in names if name in installed]
    return ["DejaVu Sans", *extra]


def missing(text: str, families: Sequence[str]) -> str:
    """The characters of `text` that none of these fonts can draw, each once."""
    from matplotlib.font_manager import findfont, get_font

    known: set[int] = set()
    for family in families:
        known |= get_font(findfont(family)).get_charmap().keys()
    lacking = {letter for letter in text if ord(letter) not in known and not letter.isspace()}
    return "".join(sorted(lacking))
