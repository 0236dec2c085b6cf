"""Several releases on the same corpora: scores with intervals, languages, paired comparison."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from models.corpora import DataError, Rows
from models.evaluation import (
    Answers,
    CorpusReport,
    Done,
    Model,
    ask,
    labelled,
    report_on,
    shared,
    tasks,
)
from models.intervals import Difference, Discordance, mcnemar, paired
from models.metrics import Ints
from models.preprocess.cleaning import Clean, plain
from models.robustness import Robustness, headline, robustness
from models.tasks import measure


class LanguageReport(msgspec.Struct, frozen=True):
    """Means over the corpora that have rows in a language, each counting alike."""

    rows: int
    corpora: list[str]
    scores: dict[str, float]


class ModelReport(msgspec.Struct, frozen=True):
    """One release. `languages` by BCP 47 tag; "none" is what has no language."""

    model: str
    corpora: dict[str, CorpusReport]
    languages: dict[str, LanguageReport]
    robustness: Robustness | None = None


class Comparison(msgspec.Struct, frozen=True):
    """The first release against another on one corpus, on the rows that both could read.

    `scores`: those of `first` less those of `second`. `discordance`: McNemar's test of who is
    right, by task, where rows have one label.
    """

    first: str
    second: str
    corpus: str
    scored_by: str
    scores: dict[str, Difference]
    discordance: dict[str, Discordance]


class Study(msgspec.Struct, frozen=True):
    """Everything that `weathervane evaluate` finds."""

    split: str
    models: list[ModelReport]
    comparisons: list[Comparison]


class Corpus(NamedTuple):
    """A corpus to score on."""

    name: str
    rows: Rows
    languages: list[str | None]


def study(
    releases: Sequence[Path],
    data: Path,
    split: str = "dev",
    corpora: Sequence[str] | None = None,
    *,
    device: str = "auto",
    with_robustness: bool = False,
    done: Done = lambda rows: None,
    clean: Clean = plain,
) -> Study:
    """Score every release on every corpus, and compare the first with the others.

    Pictures and sounds of the corpora go through `clean`.

    Raises:
        DataError: a corpus that was asked for is not there or annotates nothing, or none is there.
        ReleaseError: a release cannot be trusted or read.
    """
    found = [Corpus(*corpus) for corpus in labelled(data, split, corpora, clean)]
    missing = sorted(set(corpora or ()) - {corpus.name for corpus in found})
    if missing or not found:
        what = ", ".join(missing) if missing else "any corpus"
        raise DataError(
            f"{data} has no split {split} with emotions or polarity for {what}: the data folder "
            f"holds one folder a corpus, with {split}.parquet or a folder of datasets"
        )
    reports: list[ModelReport] = []
    answers: list[dict[str, Answers]] = []
    for release in releases:
        model = Model.load(release, device)
        said = {corpus.name: ask(model, corpus.rows, done) for corpus in found}
        spoilt = {corpus.name: corpus.rows for corpus in found} if with_robustness else {}
        reports.append(
            ModelReport(
                _distinct(model.predictor.name, reports),
                {name: report_on(answer) for name, answer in said.items()},
                _languages(found, said),
                robustness(model, spoilt, done) if spoilt else None,
            )
        )
        answers.append(said)
    comparisons = [
        compare(reports[0].model, rival.model, name, (answers[0][name], said[name]))
        for rival, said in zip(reports[1:], answers[1:], strict=True)
        for name in said
    ]
    # Of a corpus that one of two cannot read at all nothing can be said.
    comparisons = [one for one in comparisons if one.scored_by in one.scores]
    return Study(split, reports, comparisons)


def compare(first: str, second: str, corpus: str, answers: tuple[Answers, Answers]) -> Comparison:
    """Paired bootstrap of every score's difference, and McNemar's test."""
    one, other = shared(*answers)
    of_first, of_second = tasks(one), tasks(other)
    scores: dict[str, Difference] = {}
    discordance: dict[str, Discordance] = {}
    for prefix, task in of_first.items():
        rival = of_second[prefix]
        differences = paired(measure(task), measure(rival), len(task.actual), task.groups)
        scores |= {prefix + name: value for name, value in differences.items()}
        if task.passed is None:
            discordance[prefix.rstrip("_") or "emotions"] = mcnemar(task.right, rival.right)
    return Comparison(first, second, corpus, headline(one), scores, discordance)


def _languages(corpora: list[Corpus], said: dict[str, Answers]) -> dict[str, LanguageReport]:
    names = sorted({lang or "none" for corpus in corpora for lang in corpus.languages})
    return {name: _language(name, corpora, said) for name in names}


def _language(name: str, corpora: list[Corpus], said: dict[str, Answers]) -> LanguageReport:
    rows = 0
    scores: dict[str, list[float]] = {}
    holders: list[str] = []
    for corpus in corpora:
        answers = said[corpus.name]
        tags = np.array([lang or "none" for lang in corpus.languages])
        places: Ints = np.flatnonzero(tags[answers.places] == name)
        if not len(places):
            continue
        rows += len(places)
        holders.append(corpus.name)
        for prefix, task in tasks(answers.take(places)).items():
            for score, value in measure(task)(None).items():
                scores.setdefault(prefix + score, []).append(float(value))
    return LanguageReport(rows, holders, {key: float(np.mean(v)) for key, v in scores.items()})


def _distinct(name: str, before: list[ModelReport]) -> str:
    """Two releases of the same weights are told apart by a number."""
    taken = sum(report.model.split(" ")[0] == name for report in before)
    return f"{name} ({taken + 1})" if taken else name
