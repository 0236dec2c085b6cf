"""What a new release scores on the dev splits: everything that its card tells, in one pass."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from models.corpora import Rows
from models.degrade import modalities, only
from models.evaluation import (
    POLARITY,
    Answers,
    CorpusReport,
    Model,
    ask,
    intervals,
    labelled,
    report_on,
    tasks,
)
from models.intervals import Estimate
from models.labels import MODALITIES
from models.metrics import risk_coverage
from models.prediction import sigmoid, softmax
from models.preprocess.cleaning import Clean, plain
from models.release import Config, Temperature, read_config, subset_key
from models.tasks import measure

RESAMPLES = 500
COVERAGES = (1.0, 0.9, 0.8, 0.6, 0.4)
SAMPLE = 600  # rows of a corpus that is read by each subset of its modalities


@dataclass(frozen=True, slots=True)
class Assessed:
    """One corpus. `uncalibrated`: its calibration errors with every temperature at 1, by prefix
    ("" emotions, "polarity_" polarity); `risk`: the share of wrong answers at each of `COVERAGES`;
    `subsets`: its headline score read by less than it has."""

    name: str
    language: str
    report: CorpusReport
    uncalibrated: dict[str, float]
    risk: list[float]
    subsets: dict[str, Estimate]


def headline(scores: dict[str, Estimate]) -> str:
    """The score that a corpus is known by: macro-F1 of its emotions, else polarity's accuracy."""
    return "macro_f1" if "macro_f1" in scores else f"{POLARITY}accuracy"


def assess(release: Path, data: Path, dev: list[str], clean: Clean = plain) -> Iterator[Assessed]:
    """Score the release on these dev splits, corpus by corpus."""
    model = Model.load(release)
    config = read_config(release)
    for name, rows, languages in labelled(data, "dev", dev, clean):
        answers = ask(model, rows)
        if len(answers.places):
            raw = uncalibrated(answers, config)
            readable = [kind for kind in modalities(rows) if kind in config.modalities]
            yield Assessed(
                name=name,
                language="+".join(sorted({str(lang) for lang in languages if lang})) or "none",
                report=report_on(answers, RESAMPLES),
                uncalibrated={
                    prefix: float(measure(task)(None)["calibration_error"])
                    for prefix, task in tasks(raw).items()
                },
                risk=_risk(answers),
                subsets=_subsets(model, rows) if len(readable) > 1 else {},
            )


def uncalibrated(answers: Answers, config: Config) -> Answers:
    """The same answers without any calibration: probabilities back to logits, and again."""
    rows = answers.rows
    given = zip(rows.texts, rows.images, rows.audios, strict=True)
    used = [
        tuple(name for name, part in zip(MODALITIES, row, strict=True) if part) for row in given
    ]
    keys = [subset_key(tuple(set(names) & set(config.modalities))) for names in used]
    divisors = [config.calibration.temperatures.get(key, Temperature()) for key in keys]
    emotions = np.clip(answers.emotions, 1e-7, 1 - 1e-7)
    log_odds = np.log(emotions / (1 - emotions)) - np.array([d.bias for d in divisors])
    logits = log_odds * np.array([[d.emotions] for d in divisors])
    log = np.log(np.clip(answers.polarity, 1e-7, 1)) * np.array([[d.polarity] for d in divisors])
    return dataclasses.replace(answers, emotions=sigmoid(logits), polarity=softmax(log))


def _risk(answers: Answers) -> list[float]:
    task = next(iter(tasks(answers).values()))
    coverage, risk = risk_coverage(task.confidence, ~task.right)
    places = np.searchsorted(coverage, COVERAGES).clip(max=len(risk) - 1)
    return [float(value) for value in risk[places]]


def _subsets(model: Model, rows: Rows) -> dict[str, Estimate]:
    """The headline score of a sample of rows, by every subset of what they have."""
    sample = rows.take(np.sort(np.random.default_rng(0).permutation(len(rows))[:SAMPLE]))
    have = modalities(sample)
    found: dict[str, Estimate] = {}
    for size in range(1, len(have) + 1):
        for names in combinations(have, size):
            answers = ask(model, only(sample, names))
            for prefix, task in list(tasks(answers).items())[:1]:
                scores = intervals(task, RESAMPLES)
                found["+".join(names)] = scores["accuracy" if prefix else "macro_f1"]
    return found
