"""An explanation as one picture: words, patches, moments, shares of the modalities."""

import io
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image

from models.explain.explainer import Explanation
from models.prediction import Prediction
from models.prepare import Item
from models.preprocess import audio
from models.report.canvas import DPI, FAINT, INK, figure, fonts, missing, plain, png

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RAISES, LOWERS = "#d55e00", "#0072b2"  # orange and blue: told apart with any colour vision
WIDTH = 8.0  # inches
LINE = 0.34  # inches
LINE_PIXELS = 0.88 * WIDTH * DPI
FONT_SIZE = 11
SPACE = 8  # pixels between words


class Piece(NamedTuple):
    """A word in its place."""

    text: str
    weight: float
    column: float


def draw(item: Item, prediction: Prediction, explanation: Explanation) -> tuple[bytes, str]:
    """A PNG file, and the characters of the text that no installed font can draw.

    Raises PlotError where matplotlib is not installed.
    """
    text = item.text or ""
    families = fonts()
    lacking = missing(text, families)
    boxes = dict.fromkeys(map(ord, lacking), "□")
    lines = _lines(figure(WIDTH, 1), explanation, families, boxes) if explanation.words else []
    heights = {
        "shares": 0.5 + 0.3 * max(1, len(explanation.modalities)),
        "words": 0.25 + LINE * len(lines) if lines else 0.0,
        "picture": 2.9 if explanation.patches else 0.0,
        "sound": 1.7 if explanation.moments else 0.0,
    }
    rows = {name: height for name, height in heights.items() if height}
    fig = figure(WIDTH, sum(rows.values()) + 0.9)
    fig.suptitle(
        _title(prediction, explanation),
        x=0.01,
        ha="left",
        fontsize=13,
        color=INK,
    )
    grid = fig.subplots(len(rows), 1, squeeze=False, height_ratios=list(rows.values()))[:, 0]
    panels = dict(zip(rows, grid, strict=True))
    _shares(panels["shares"], explanation)
    if lines:
        _words(panels["words"], lines, explanation, families)
    if explanation.patches and item.image:
        _picture(panels["picture"], item.image, explanation.patches)
    if explanation.moments and item.audio:
        _sound(panels["sound"], item.audio, explanation)
    return png(fig), lacking


def _title(prediction: Prediction, explanation: Explanation) -> str:
    if explanation.emotion is None:
        return "nothing could be read"
    return (
        f"{explanation.emotion} {explanation.probability:.2f}, sentiment "
        f"{prediction.sentiment:+.2f}" + (", abstained" if prediction.abstained else "")
    )


def _shares(axes: "Axes", explanation: Explanation) -> None:
    plain(axes)
    names = list(explanation.modalities)
    values = [share.emotion for share in explanation.modalities.values()]
    places = list(range(len(names)))[::-1]
    colours = [RAISES if value > 0 else LOWERS for value in values]
    axes.barh(places, values, 0.6, color=colours)
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.set_yticks(places, [f"{n} {v:+.2f}" for n, v in zip(names, values, strict=True)])
    axes.set_xlim(1.1 * min([-0.02, *values]), 1.1 * max([0.02, *values]))
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.set_title(
        f"what each modality adds to the {explanation.prior:.2f} of a post that says nothing",
        loc="left",
        fontsize=9,
        color=INK,
    )


def _lines(
    fig: "Figure", explanation: Explanation, families: list[str], boxes: dict[int, str]
) -> list[list[Piece]]:
    """The words of each line, and where they stand, in pixels."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    renderer = FigureCanvasAgg(fig).get_renderer()  # type: ignore[no-untyped-call]
    lines: list[list[Piece]] = [[]]
    column, end = 0.0, 0
    for word in explanation.words or []:
        shown = word.text.translate(boxes)
        probe = fig.text(0, 0, shown, fontsize=FONT_SIZE, fontfamily=families)
        wide = probe.get_window_extent(renderer).width
        probe.remove()
        gap = SPACE if word.start > end else SPACE / 2
        if column and column + gap + wide > LINE_PIXELS:
            lines.append([])
            column = 0.0
        column += gap if column else 0.0
        lines[-1].append(Piece(shown, word.weight, column))
        column, end = column + wide, word.end
    return lines


def _words(
    axes: "Axes",
    lines: list[list[Piece]],
    explanation: Explanation,
    families: list[str],
) -> None:
    axes.set_axis_off()
    axes.set_xlim(0, LINE_PIXELS)
    axes.set_ylim(len(lines), 0)
    weights = [word.weight for word in explanation.words or []]
    most = max(abs(weight) for weight in weights) or 1.0
    strongest = max(weights, key=abs)
    axes.set_title(f"words: the strongest adds {strongest:+.3f}", loc="left", fontsize=9, color=INK)
    for row, line in enumerate(lines):
        for text, weight, column in line:
            strength = abs(weight) / most  # of the colour
            axes.text(
                column,
                row + 0.5,
                text,
                fontsize=FONT_SIZE,
                fontfamily=families,
                va="center",
                color=INK,
                bbox={
                    "boxstyle": "square,pad=0.12",
                    "facecolor": RAISES if weight > 0 else LOWERS,
                    "alpha": 0.75 * strength,
                    "linewidth": 0,
                },
            )


def _picture(axes: "Axes", data: bytes, patches: list[list[float]]) -> None:
    from matplotlib.colors import LinearSegmentedColormap

    with Image.open(io.BytesIO(data)) as opened:
        rgb = opened.convert("RGB")
    width, height = rgb.size
    weights = np.array(patches)
    most = float(np.abs(weights).max()) or 1.0
    axes.imshow(np.asarray(rgb.convert("L")), cmap="gray", extent=(0, width, height, 0))
    axes.imshow(
        np.asarray(rgb), extent=(width * 1.08, width * 2.08, height, 0), interpolation="bilinear"
    )
    axes.imshow(
        weights,
        cmap=LinearSegmentedColormap.from_list("weights", [LOWERS, "white", RAISES]),
        vmin=-most,
        vmax=most,
        alpha=0.2 + 0.6 * np.abs(weights) / most,
        extent=(0, width, height, 0),
    )
    axes.set_xlim(0, width * 2.08)
    axes.set_ylim(height, 0)
    axes.set_axis_off()
    axes.set_title(
        f"picture: covering a patch takes up to {weights.max():.3f}",
        loc="left",
        fontsize=9,
        color=INK,
    )


def _sound(axes: "Axes", data: bytes, explanation: Explanation) -> None:
    plain(axes)
    samples, _ = audio.decode(data)
    seconds = np.arange(len(samples)) / audio.RATE
    step = max(1, len(samples) // 4000)
    peak = float(np.abs(samples).max()) or 1.0
    axes.plot(seconds[::step], samples[::step] / peak * 0.9, color="#888888", linewidth=0.4)
    found = explanation.moments or []
    most = max(abs(moment.weight) for moment in found) or 1.0
    for moment in found:
        axes.axvspan(
            moment.start,
            moment.end,
            color=RAISES if moment.weight > 0 else LOWERS,
            alpha=0.7 * abs(moment.weight) / most,
            linewidth=0,
        )
    axes.set_xlim(0, seconds[-1])
    axes.set_ylim(-1, 1)
    axes.set_yticks([])
    axes.set_xlabel("seconds", fontsize=8, color=INK)
    axes.spines["left"].set_color(FAINT)
    strongest = max(moment.weight for moment in found)
    axes.set_title(
        f"sound: muting a moment takes up to {strongest:.3f}", loc="left", fontsize=9, color=INK
    )
