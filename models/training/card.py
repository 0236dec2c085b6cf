"""The model card, written by the run that made the weights (Mitchell et al. 2019).

python -m models.training.card RECIPE DATA RUN    assess RUN/release again and write its card
"""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from models.behaviour import BAD, Outcome, rates, run_posts
from models.evaluation import POLARITY
from models.intervals import Estimate
from models.labels import EMOTIONS
from models.predictor import Predictor
from models.prepare import Preparer
from models.preprocess.cleaning import Clean, plain
from models.release import Calibration, parameters, read_config, write_json, write_manifest
from models.training.assess import COVERAGES, Assessed, assess, headline
from models.training.card_words import ALWAYS, HEAD, PICTURES, SEVERAL, SPEECH, USE
from models.training.licences import corpora, is_permissive, use_of
from models.training.recipe import Recipe, read_recipe
from models.training.steplog import Cost, costs

WATTS: Final = (
    12.0  # of one busy server core, with its share of memory, supply and cooling: assumed
)
GRID: Final = 0.45  # kg CO2e a kWh, about the world's mean: assumed
COLUMNS: Final = (
    "macro_f1",
    "accuracy",
    "unweighted_recall",
    f"{POLARITY}macro_f1",
    f"{POLARITY}accuracy",
)
LANGUAGES: Final = {"en": "English", "zh": "Chinese", "none": "no words"}


def describe(release: Path, plan: Recipe, data: Path, run: Path, clean: Clean = plain) -> None:
    """Score a release on the dev splits of its recipe; write `scores.json`, `card.md`, manifest.

    `run`: the folder of the run, for what its stages cost.
    """
    write_manifest(release, plan.name, use_of(plan))
    found = list(assess(release, data, plan.dev, clean))
    outcomes = run_posts(Predictor.load(release, "cpu"), Preparer.load(release))
    write_json(
        release / "scores.json",
        {
            one.name: {"rows": one.report.rows, "errors": one.report.errors}
            | {name: score.value for name, score in one.report.scores.items()}
            for one in found
        },
    )
    config = read_config(release)
    parts = [
        _head(plan, release),
        USE[use_of(plan)],
        _scores(found),
        _subsets(found),
        _calibration(config.calibration, found),
        _risk(found),
        _failures(outcomes),
        _data(plan),
        _limits(plan),
        _costs(costs(run), plan.notes),
        _commands(plan),
    ]
    (release / "card.md").write_text("\n".join(filter(None, parts)), encoding="utf-8")
    write_manifest(release, plan.name, use_of(plan))


def _head(plan: Recipe, release: Path) -> str:
    text = f"a text transformer started from {plan.text.start} ({len(plan.text.layers)} layers)"
    if plan.text.average:
        text += f", the mean of {' and '.join(plan.text.average)}"
    if plan.text.teachers:
        teachers = [teacher.release.removesuffix("/release") for teacher in plan.text.teachers]
        text += f", taught by {', '.join(teachers)} beside the labels"
    parts = [text]
    if plan.text.ngrams:
        parts.append("a linear model of character n-grams beside it where a text has Chinese")
    limits = [f"{plan.text.max_tokens} tokens of text"]
    reads = ["text"]
    if plan.image:
        parts.append("EfficientNet-Lite0 for pictures")
        limits.append(f"one picture scaled to {plan.image.size} pixels")
        reads.append("a picture")
    if plan.audio:
        parts.append(f"the first {plan.audio.layers} layers of Whisper base for speech")
        limits.append("15 s of sound")
        reads.append("speech")
    joined = "attention that masks what is missing"
    return HEAD.format(
        name=plan.name,
        reads=f"any of {', '.join(reads)}" if len(reads) > 1 else "text alone",
        millions=parameters(release) / 1e6,
        parts=",\n".join((*parts, f"joined by {joined}" if len(parts) > 1 else "two small layers")),
        limits=", ".join(limits),
        day=datetime.now(UTC).strftime("%Y-%m-%d"),
    )


def _scores(found: Sequence[Assessed]) -> str:
    lines = [
        "## Scores on the dev splits",
        "",
        "By the shipped thresholds, on rows never learnt from, with 95% intervals by resampling",
        "(of speakers or dialogues where the corpus names them). One label a row: the likeliest",
        "emotion among those that the corpus annotates. Several labels a row (no accuracy given):",
        "the emotions that pass their thresholds; a neutral that such a corpus does not give",
        "itself is in no mean.",
        "",
        f"| corpus | language | rows | {' | '.join(map(_title, COLUMNS))} |",
        "|---" * (3 + len(COLUMNS)) + "|",
    ]
    for one in found:
        cells = [_estimate(one.report.scores.get(name)) for name in COLUMNS]
        lines.append(f"| {one.name} | {one.language} | {one.report.rows} | {' | '.join(cells)} |")
    lines += ["", "| language | corpora | mean of their macro-F1 (polarity accuracy where none) |"]
    lines.append("|---|---|---|")
    for language in sorted({one.language for one in found}):
        these = [
            o.report.scores[headline(o.report.scores)] for o in found if o.language == language
        ]
        name = LANGUAGES.get(language, language)
        lines.append(f"| {name} | {len(these)} | {_estimate(_mean(these))} |")
    return "\n".join(lines) + "\n"


def _subsets(found: Sequence[Assessed]) -> str:
    lines = ["## Fewer modalities than there are", "", "| corpus | read | score |", "|---|---|---|"]
    rows = [
        f"| {one.name} | {key} | {_estimate(score)} |"
        for one in found
        for key, score in one.subsets.items()
    ]
    if not rows:
        return ""
    note = "Macro-F1 of emotions, or accuracy of polarity where there are none; a sample of rows."
    return "\n".join((*lines, *rows, "", note)) + "\n"


def _calibration(calibration: Calibration, found: Sequence[Assessed]) -> str:
    lines = [
        "## Calibration",
        "",
        "Chosen on rows held out of the train splits. A label passes at or above its threshold:",
        ", ".join(f"{name} {value:.2f}" for name, value in calibration.thresholds.items()) + ".",
        f"The model abstains below a confidence of {calibration.abstain_below:.2f}, which one in",
        "ten held-out texts does not reach.",
        "",
        "Logits are divided by the temperature; to those of emotions a bias is added.",
        "",
        f"| modalities | temperature, polarity | temperature, emotions | {' | '.join(EMOTIONS)} |",
        "|---" * (3 + len(EMOTIONS)) + "|",
    ]
    lines += [
        f"| {subset} | {value.polarity:.2f} | {value.emotions:.2f} | "
        f"{' | '.join(f'{bias:+.2f}' for bias in value.bias)} |"
        for subset, value in calibration.temperatures.items()
    ]
    lines += [
        "",
        "Expected calibration error (15 bins) of the likeliest label on dev, without calibration",
        "and with it; what chance alone makes of so many rows when a model is calibrated",
        "perfectly; and the mean over the labels.",
        "",
        "| corpus | of | before | after | chance | mean over labels |",
        "|---|---|---|---|---|---|",
    ]
    for one in found:
        for prefix, before in one.uncalibrated.items():
            task = one.report.polarity if prefix else one.report.emotions
            if task is not None:
                values = [
                    before,
                    one.report.scores[f"{prefix}calibration_error"].value,
                    task.chance_calibration_error,
                    one.report.scores[f"{prefix}label_calibration_error"].value,
                ]
                words = " | ".join(f"{value:.3f}" for value in values)
                lines.append(f"| {one.name} | {prefix.strip('_') or 'emotions'} | {words} |")
    return "\n".join(lines) + "\n"


def _risk(found: Sequence[Assessed]) -> str:
    shares = " | ".join(f"{share:.0%}" for share in COVERAGES)
    lines = [
        "## Risk and coverage",
        "",
        "Share of wrong answers (the likeliest label is none of the row's) when so many of the",
        "rows are answered, the surest first.",
        "",
        f"| corpus | {shares} |",
        "|---" * (1 + len(COVERAGES)) + "|",
    ]
    for one in found:
        lines.append(f"| {one.name} | {' | '.join(f'{risk:.3f}' for risk in one.risk)} |")
    return "\n".join(lines) + "\n"


def _failures(outcomes: Sequence[Outcome]) -> str:
    """The table of short posts, run through the model: what passes, and every one that fails."""
    shares = ", ".join(f"{kind} {rate:.0%}" for kind, rate in rates(outcomes).items())
    lines = [
        "## Known failures",
        "",
        f"Of {len(outcomes)} short posts written for it (`python -m models.behaviour`) it reads",
        f"as people do: {shares}.",
        "It fails on:",
        "",
        "| kind | post | expected | says |",
        "|---|---|---|---|",
    ]
    for outcome in (outcome for outcome in outcomes if not outcome.passed):
        post = outcome.post
        wanted = "any bad feeling" if post.emotions == BAD else " or ".join(post.emotions)
        wanted += f", {post.polarity}" if post.polarity else ""
        said = f"{outcome.dominant}, {outcome.polarity}"
        lines.append(f"| {post.kind} | {post.text} | {wanted} | {said} |")
    return "\n".join(lines) + "\n"


def _data(plan: Recipe) -> str:
    lines = [
        "## Data",
        "",
        "| corpus | used for | licence | commercial use |",
        "|---|---|---|---|",
    ]
    for name, uses in corpora(plan).items():
        licence = plan.licences.get(name, "not stated")
        allowed = "yes" if is_permissive(licence) else "**no**"
        lines.append(f"| {name} | {', '.join(uses)} | {licence} | {allowed} |")
    return "\n".join(lines) + "\n"


def _limits(plan: Recipe) -> str:
    parts = [SPEECH] if plan.audio else []
    parts += [PICTURES] if plan.image else []
    parts += [SEVERAL] if plan.audio and plan.image else []
    return "## Limits\n\n" + "".join((*parts, ALWAYS))


def _costs(spent: dict[str, Cost], notes: Sequence[str]) -> str:
    if not spent:
        return ""
    lines = [
        "## Time and energy",
        "",
        "| stage | hours | processor hours |",
        "|---|---|---|",
    ]
    lines += [
        f"| {stage} | {cost.wall / 3600:.2f} | {cost.cpu / 3600:.2f} |"
        for stage, cost in spent.items()
    ]
    hours = sum(cost.cpu for cost in spent.values()) / 3600
    energy = hours * WATTS / 1000
    lines += [
        "",
        f"Processor time is measured (log.csv of each stage). At {WATTS:.0f} W a busy core it is",
        f"{energy:.3f} kWh, and at {GRID} kg CO2e a kWh {1000 * energy * GRID:.0f} g CO2e: both",
        "rates are assumed, for a server's core with its memory and cooling, on a mean grid.",
        "Earlier trials and the starting checkpoints are not in it.",
        *notes,
    ]
    return "\n".join(lines) + "\n"


def _commands(plan: Recipe) -> str:
    return f"""## Again

    weathervane train --recipe recipes/{plan.name}.toml --data DATA --out RUNS/{plan.name}
    python -m models.training.card recipes/{plan.name}.toml DATA RUNS/{plan.name}
    WEATHERVANE_RELEASE={plan.name} weathervane evaluate --data DATA
    python -m models.behaviour {plan.name}
"""


def _mean(estimates: Sequence[Estimate]) -> Estimate:
    """Mean of independent scores; half widths add as squares."""
    count = len(estimates)
    below = sum((e.value - e.low) ** 2 for e in estimates) ** 0.5 / count
    above = sum((e.high - e.value) ** 2 for e in estimates) ** 0.5 / count
    value = sum(e.value for e in estimates) / count
    return Estimate(value, value - below, value + above)


def _estimate(score: Estimate | None) -> str:
    return "" if score is None else f"{score.value:.3f} ({score.low:.3f}-{score.high:.3f})"


def _title(name: str) -> str:
    return name.replace("_", " ").replace("f1", "F1")


def main(recipe: str, data: str, run: str) -> None:
    """Describe `RUN/release` again."""
    describe(Path(run) / "release", read_recipe(Path(recipe)), Path(data), Path(run))


if __name__ == "__main__":
    main(*sys.argv[1:])
