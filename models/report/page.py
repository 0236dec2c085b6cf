"""The report: one HTML file, plots inside, no script, readable on paper too."""

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

import msgspec

from models.evaluation import POLARITY, CorpusReport
from models.report.html import difference, estimate, p_value, picture, table
from models.report.plots import (
    comparison_plot,
    confusion_plot,
    degradation_plot,
    reliability_plot,
    risk_plot,
    scores_plot,
)
from models.report.study import Comparison, ModelReport, Study
from models.robustness import Robustness
from models.tasks import TaskReport

STYLE = """
body { font: 15px/1.5 system-ui, "Noto Sans CJK SC", sans-serif; color: #222; margin: 2rem auto;
  max-width: 76rem; padding: 0 1rem }
h1 { font-size: 1.5rem } h2 { font-size: 1.2rem; margin-top: 2.5rem } h3 { font-size: 1rem }
table { border-collapse: collapse; margin: .8rem 0; font-variant-numeric: tabular-nums }
th, td { padding: .2rem .55rem; text-align: right; border-bottom: 1px solid #e5e5e5 }
th:first-child, td:first-child { text-align: left } th { font-weight: 600; vertical-align: bottom }
td small { color: #777; display: block; white-space: nowrap }
.bad { color: #b3261e; font-weight: 600 } .note { color: #555 }
img { max-width: 100% } figure { margin: 1rem 0; overflow-x: auto }
.wide { overflow-x: auto }
"""
SHOWN = (
    "accuracy",
    "macro_f1",
    "macro_precision",
    "unweighted_recall",
    "macro_recall",
    "pr_auc",
    "calibration_error",
    "label_calibration_error",
    "risk_coverage_area",
)
NAMES = {
    "macro_f1": "macro-F1",
    "macro_precision": "precision",
    "unweighted_recall": "recall",
    "macro_recall": "recall",
    "pr_auc": "PR-AUC",
    "calibration_error": "calibration error",
    "label_calibration_error": "calibration error by label",
    "risk_coverage_area": "risk-coverage area",
}


def write_report(found: Study, folder: Path) -> list[Path]:
    """Write `report.html`, `scores.json` and the plots as PNG files; the files written.

    Raises:
        PlotError: matplotlib is not installed.
        OSError: the folder cannot be written.
    """
    plots = draw(found)
    folder.mkdir(parents=True, exist_ok=True)
    files = {f"{name}.png": data for name, data in plots.items()}
    files["scores.json"] = msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n"
    files["report.html"] = page(found, plots).encode()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return [folder / name for name in files]


def draw(found: Study) -> dict[str, bytes]:
    """The plots by name. Details are those of the first model."""
    first = found.models[0]
    named = _tasks(first)
    shown = [(corpus, _headline(report)) for corpus, report in first.corpora.items()]
    plots = {
        "scores": scores_plot(found.models, shown),
        "reliability": reliability_plot([(name, task) for name, task, _ in named]),
        "risk-coverage": risk_plot(named),
        "confusion": confusion_plot([(name, task) for name, task, _ in named]),
    }
    if found.comparisons:
        plots["comparison"] = comparison_plot(found.comparisons)
    if first.robustness and first.robustness.curves:
        plots["degradation"] = degradation_plot(first.robustness.curves)
    return plots


def page(found: Study, plots: dict[str, bytes]) -> str:
    """The HTML."""
    first = found.models[0]
    names = ", ".join(escape(report.model) for report in found.models)
    parts = [
        f"<h1>Evaluation on the split “{escape(found.split)}”</h1><p>{names}</p>",
        _scores(found, plots),
        *(_comparison(found.comparisons, plots) if found.comparisons else ()),
        _details(first, plots),
        *(_robustness(first.robustness, plots) if first.robustness else ()),
    ]
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Weathervane: evaluation</title><style>{STYLE}</style><body>"
        + "\n".join(parts)
        + "</body></html>\n"
    )


def _scores(found: Study, plots: dict[str, bytes]) -> str:
    parts = ["<h2>Scores</h2>", picture(plots["scores"], "Headline scores by corpus")]
    for report in found.models:
        if len(found.models) > 1:
            parts.append(f"<h3>{escape(report.model)}</h3>")
        rows = [("emotions", ""), ("polarity", POLARITY)]
        for what, prefix in rows:
            holders = {
                name: corpus
                for name, corpus in report.corpora.items()
                if f"{prefix}macro_f1" in corpus.scores
            }
            if holders:
                parts.append(f"<h3>{what.capitalize()}</h3>" + _score_table(holders, prefix))
        parts.append("<h3>Languages</h3>" + _language_table(report))
    parts.append(
        '<p class="note">Brackets: 95% interval by bootstrap over rows, or over groups of rows '
        "(speakers, near-duplicate pictures) where the corpus names them. Accuracy is given where "
        "a row has one label: the likeliest among those that the corpus annotates; elsewhere the "
        "labels count that pass the shipped thresholds. Calibration error is never negative, so "
        "resampling raises it: its intervals lean upwards. Languages: means over their corpora."
        "</p>"
    )
    return "\n".join(parts)


def _score_table(corpora: dict[str, CorpusReport], prefix: str) -> str:
    used = [
        name for name in SHOWN if any(prefix + name in report.scores for report in corpora.values())
    ]
    merged = [name for name in used if not (name == "macro_recall" and "unweighted_recall" in used)]
    head = ["corpus", "rows", *(NAMES.get(name, name) for name in merged), "abstained"]
    lines = []
    for corpus, report in corpora.items():
        cells = [escape(corpus), _rows(report)]
        for name in merged:
            value = report.scores.get(prefix + name)
            if value is None and name == "unweighted_recall":
                value = report.scores.get(f"{prefix}macro_recall")
            cells.append(estimate(value))
        lines.append([*cells, f"{report.abstained:.0%}"])
    return table(head, lines)


def _language_table(report: ModelReport) -> str:
    names = ("macro_f1", "pr_auc", "calibration_error", "polarity_accuracy", "polarity_macro_f1")
    head = ["language", "rows", "corpora", *(n.replace("_", " ") for n in names)]
    lines = [
        [
            escape(lang),
            f"{found.rows:,}",
            str(len(found.corpora)),
            *(f"{found.scores[name]:.3f}" if name in found.scores else "" for name in names),
        ]
        for lang, found in report.languages.items()
    ]
    return table(head, lines)


def _comparison(comparisons: Sequence[Comparison], plots: dict[str, bytes]) -> Iterable[str]:
    yield f"<h2>{escape(comparisons[0].first)} against the others</h2>"
    yield picture(plots["comparison"], "Differences of the headline scores")
    head = [
        "corpus",
        "against",
        "score",
        "difference",
        "p (bootstrap)",
        "right alone",
        "p (McNemar)",
    ]
    lines = []
    for one in comparisons:
        gap = one.scores[one.scored_by]
        task = "polarity" if one.scored_by.startswith(POLARITY) else "emotions"
        counts = one.discordance.get(task)
        lines.append(
            [
                escape(one.corpus),
                escape(one.second),
                escape(one.scored_by.replace("_", " ")),
                difference(gap),
                p_value(gap.p),
                f"{counts.only_first} / {counts.only_second}" if counts else "",
                p_value(counts.p) if counts else "",
            ]
        )
    yield table(head, lines)
    yield (
        '<p class="note">Both models on the same resamples of the same rows. “Right alone”: rows '
        "that only the first / only the other has right, where a row has one label.</p>"
    )


def _details(report: ModelReport, plots: dict[str, bytes]) -> str:
    named = _tasks(report)
    labels = "".join(_label_table(name, task) for name, task, _ in named)
    return f"""<h2>Calibration</h2>
<p>The share of right answers among those of one stated probability. Dots are bins, as large as they
hold rows; above the line the model is surer than it says, below it boasts.</p>
{picture(plots["reliability"], "Reliability diagrams")}
<h2>Abstention</h2>
<p>What would be wrong if only the surest answers were given. The mark is where the shipped
threshold abstains; the order is that of the confidence in the published events.</p>
{picture(plots["risk-coverage"], "Risk over coverage")}
<h2>Confusions</h2>
<p>Down: the label of the row; across: what it was given; in percent of the row's label. Where rows
have several labels, a row counts in every cell of its labels.</p>
{picture(plots["confusion"], "Confusion matrices")}
<h2>Labels</h2>{labels}"""


def _label_table(name: str, task: TaskReport) -> str:
    head = ["label", "rows", "precision", "recall", "F1", "PR-AUC", "calibration error"]
    lines = [
        [
            escape(label.label) + (" (in no mean)" if label.derived else ""),
            f"{label.rows:,}",
            *(f"{v:.3f}" for v in (label.precision, label.recall, label.f1)),
            "" if label.pr_auc is None else f"{label.pr_auc:.3f}",
            f"{label.calibration_error:.3f}",
        ]
        for label in task.labels
    ]
    chance = (
        f"<p>Calibration error of the likeliest label by chance alone, were the model calibrated"
        f" perfectly: {task.chance_calibration_error:.3f}.</p>"
    )
    return f"<h3>{escape(name)}</h3>" + table(head, lines) + chance


def _robustness(found: Robustness, plots: dict[str, bytes]) -> Iterable[str]:
    yield "<h2>Robustness</h2>"
    if found.subsets:
        yield "<h3>Every subset of the modalities</h3>"
        yield table(
            ["corpus", "modalities", "score", "value", "calibration error"],
            [
                [
                    escape(one.corpus),
                    " + ".join(one.modalities),
                    found.scored_by[one.corpus].replace("_", " "),
                    estimate(one.score),
                    estimate(one.calibration_error),
                ]
                for one in found.subsets
            ],
        )
    if found.added:
        yield "<h3>A picture or a voice that has nothing to do with the post</h3>"
        yield table(
            ["corpus", "added", "alone", "with it", "difference", "at most a point?"],
            [
                [
                    escape(one.corpus),
                    " + ".join(one.added),
                    estimate(one.alone),
                    estimate(one.together),
                    difference(one.difference),
                    "yes" if one.within else '<span class="bad">no</span>',
                ]
                for one in found.added
            ],
        )
    if found.curves:
        yield "<h3>Spoilt more and more</h3>"
        yield picture(plots["degradation"], "Scores under damage")
        rising = [
            f"{escape(curve.corpus)}: {escape(curve.change)} at "
            + ", ".join(f"{level:g}" for level in curve.rises)
            for curve in found.curves
            if curve.rises
        ]
        verdict = "; ".join(rising) if rising else "none: every curve is monotone within noise"
        yield f"<p>Levels that score better than the one before by more than noise: {verdict}.</p>"


def _tasks(report: ModelReport) -> list[tuple[str, TaskReport, float]]:
    """Every task with its name on plots and the share of rows abstained from."""
    found: list[tuple[str, TaskReport, float]] = []
    for name, corpus in report.corpora.items():
        if corpus.emotions:
            found.append((name, corpus.emotions, corpus.abstained))
        if corpus.polarity:
            found.append((f"{name}, polarity", corpus.polarity, corpus.abstained))
    return found


def _headline(report: CorpusReport) -> str:
    return "macro_f1" if "macro_f1" in report.scores else f"{POLARITY}accuracy"


def _rows(report: CorpusReport) -> str:
    unread = f" <small>{report.errors} unread</small>" if report.errors else ""
    return f"{report.rows:,}{unread}"
