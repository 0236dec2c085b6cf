"""The model card, written by the run that made the weights (Mitchell et al. 2019)."""

from datetime import UTC, datetime
from pathlib import Path

from models.fused import FusedModel
from models.release import Calibration
from models.training.recipe import Recipe

Scores = dict[str, dict[str, float]]

HEAD = """# {name}

Emotion and polarity of social posts from any of text (English, Chinese), a picture and speech.
One checkpoint of {millions:.1f} million parameters: a text transformer started from multilingual
E5 small ({layers} of its layers), EfficientNet-Lite0 for pictures, the first {audio} layers of
Whisper base for speech, joined by attention that masks what is missing.

- Out: seven emotions, each with a probability of its own (several may hold); polarity
  (negative, neutral, positive); abstention; how far the modalities disagree.
- Reads at most {tokens} tokens of text, one picture scaled to {size} pixels, 15 s of sound.
- Made by `weathervane train` from the recipe of the same name, finished {finished}.
"""

LIMITS = """## Limits

- **Licence of use**: several corpora above allow research or non-commercial use only. Weights
  trained on them inherit the doubt: do not use this release commercially without advice.
- Speech was learnt from fewer than a thousand acted clips of North American actors who speak two
  fixed English sentences. Spontaneous speech, other languages and microphones are untested.
- Faces were learnt from tight grey crops. A face that is a small part of a picture is mostly
  seen as scenery.
- No corpus here has text, picture and sound of one post. How three meet was learnt on composites
  (parts of different posts with the same label): read the numbers for several modalities as a
  check of the mechanics. Tweets with pictures (MVSA) are real.
- Chinese disgust is rare in the data and often read as anger. Irony is mostly missed.
- Labels are what annotators perceive, not what the writer feels. Do not judge a person by them.
"""


def write_card(
    path: Path,
    *,
    plan: Recipe,
    model: FusedModel,
    calibration: Calibration,
    scores: Scores,
    started: datetime,
) -> None:
    """Write the card in Markdown: shape, scores, calibration, data with licences, limits."""
    millions = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    head = HEAD.format(
        name=plan.name,
        millions=millions,
        layers=len(plan.text.layers),
        audio=plan.audio.layers if plan.audio else 0,
        tokens=plan.text.max_tokens,
        size=plan.image.size if plan.image else 0,
        finished=datetime.now(UTC).strftime("%Y-%m-%d"),
    )
    seconds = (datetime.now(UTC) - started).total_seconds()
    parts = [
        head,
        _scores(scores),
        _calibration(calibration),
        _data(plan),
        LIMITS,
        f"The fusion, its calibration and these scores took {seconds / 60:.0f} minutes.\n",
    ]
    path.write_text("\n".join(parts), encoding="utf-8")


def _scores(scores: Scores) -> str:
    columns = (
        "accuracy",
        "macro_f1",
        "unweighted_recall",
        "polarity_accuracy",
        "polarity_macro_f1",
    )
    lines = [
        "## Scores on the dev splits",
        "",
        "Taken by the run with the shipped thresholds, on rows never learnt from. One label a row:",
        "the likeliest emotion among those that the corpus annotates. Several labels a row (no",
        "accuracy given): the emotions that pass their thresholds.",
        "",
        "| corpus | rows | accuracy | macro-F1 | unweighted recall "
        "| polarity accuracy | polarity macro-F1 |",
        "|---|---|---|---|---|---|---|",
    ]
    for corpus, values in scores.items():
        cells = [f"{values[name]:.3f}" if name in values else "" for name in columns]
        lines.append(f"| {corpus} | {values['rows']:.0f} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _calibration(calibration: Calibration) -> str:
    lines = [
        "## Calibration",
        "",
        "Chosen on rows held out of the train splits. A label passes at or above its threshold:",
        ", ".join(f"{name} {value:.2f}" for name, value in calibration.thresholds.items()) + ".",
        f"The model abstains below a confidence of {calibration.abstain_below:.2f}, which one in",
        "ten held-out texts does not reach.",
        "",
        "| modalities | temperature, emotions | temperature, polarity |",
        "|---|---|---|",
    ]
    lines += [
        f"| {subset} | {value.emotions:.2f} | {value.polarity:.2f} |"
        for subset, value in calibration.temperatures.items()
    ]
    return "\n".join(lines) + "\n"


def _data(plan: Recipe) -> str:
    lines = ["## Data", "", "| corpus | used for | licence |", "|---|---|---|"]
    uses = {"text": plan.text.corpora}
    uses |= {"image": plan.image.corpora} if plan.image else {}
    uses |= {"audio": plan.audio.corpora} if plan.audio else {}
    names = {corpus.name for corpora in uses.values() for corpus in corpora}
    for name in sorted(names):
        used = ", ".join(use for use, corpora in uses.items() if name in [c.name for c in corpora])
        lines.append(f"| {name} | {used} | {plan.licences.get(name, 'not stated')} |")
    return "\n".join(lines) + "\n"
