"""Scores of a release on a split, corpus by corpus, through the very path that production takes."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from models.corpora import Rows, derived, has_split, read_languages, read_split
from models.errors import ItemError
from models.intervals import RESAMPLES, Estimate, bootstrap
from models.labels import EMOTIONS, POLARITIES
from models.metrics import Bools, Floats, Ints
from models.prediction import Prediction
from models.predictor import Predictor
from models.prepare import Item, Prepared, Preparer
from models.preprocess.cleaning import Clean, plain
from models.tasks import Task, TaskReport, measure, report

CHUNK = 512  # rows prepared at a time
POLARITY = "polarity_"  # before the names of its scores
Done = Callable[[int], None]  # told how many rows more are scored


@dataclass(frozen=True, slots=True)
class Model:
    """A release, ready to be asked."""

    predictor: Predictor
    preparer: Preparer

    @classmethod
    def load(cls, release: Path, device: str = "auto") -> "Model":
        """Raises ReleaseError for a folder that is incomplete or altered."""
        return cls(Predictor.load(release, device), Preparer.load(release))


@dataclass(frozen=True, slots=True)
class Answers:
    """What a model says of the rows of one corpus that it can read.

    `places` `(rows,)`: their indices among all `total` rows. `emotions` `(rows, 7)`, `polarity`
    `(rows, 3)`, `passed` `(rows, 7)` (labels over their thresholds), `confidence`, `abstained`.
    """

    rows: Rows
    places: Ints
    total: int
    emotions: Floats
    polarity: Floats
    passed: Bools
    confidence: Floats
    abstained: Bools

    def take(self, indices: Ints) -> "Answers":
        """These of the readable rows."""
        return Answers(
            rows=self.rows.take(indices),
            places=self.places[indices],
            total=self.total,
            emotions=self.emotions[indices],
            polarity=self.polarity[indices],
            passed=self.passed[indices],
            confidence=self.confidence[indices],
            abstained=self.abstained[indices],
        )


class CorpusReport(msgspec.Struct, frozen=True):
    """Scores with intervals, and the details of the tasks that the corpus has."""

    rows: int
    errors: int
    abstained: float
    scores: dict[str, Estimate]
    emotions: TaskReport | None = None
    polarity: TaskReport | None = None


def evaluate(
    release: Path, data: Path, split: str = "dev", corpora: Sequence[str] | None = None
) -> dict[str, dict[str, float]]:
    """Score a release on that split of each corpus in `data`, or of these `corpora`.

    Returns `{corpus: {"rows": n, "errors": n, score: value}}`. Emotions: corpora with one label a
    row are judged by the likeliest annotated emotion (`accuracy`, `unweighted_recall`), those with
    several by the labels that pass the shipped thresholds (`micro_f1`, `macro_recall`,
    `exact_match`); both have `macro_f1` and what else `models.tasks.measure` names. Annotated
    polarity gives the same with `polarity_` before the name. Corpora without either are left out.
    """
    model = Model.load(release)
    return {
        name: score_rows(rows, model.predictor, model.preparer)
        for name, rows, _ in labelled(data, split, corpora)
    }


def labelled(
    data: Path, split: str, corpora: Sequence[str] | None = None, clean: Clean = plain
) -> Iterator[tuple[str, Rows, list[str | None]]]:
    """Name, rows and languages of each corpus that annotates emotions or polarity.

    Pictures and sounds go through `clean`.
    """
    folders = (path.name for path in data.iterdir() if path.is_dir()) if data.is_dir() else ()
    for name in sorted(folders):
        if (corpora is not None and name not in corpora) or not has_split(data, name, split):
            continue
        rows = read_split(data, name, split, clean)
        if not np.isnan(rows.emotions).all() or (rows.polarity_weight == 1.0).any():
            yield name, rows, read_languages(data, name, split) or [None] * len(rows)


def score_rows(rows: Rows, predictor: Predictor, preparer: Preparer) -> dict[str, float]:
    """Scores of one corpus; a row that cannot be read counts as an `error`."""
    answers = ask(Model(predictor, preparer), rows)
    result = {"rows": float(answers.total), "errors": float(answers.total - len(answers.places))}
    for prefix, task in tasks(answers).items():
        result |= {prefix + name: float(value) for name, value in measure(task)(None).items()}
    return result


def report_on(answers: Answers, resamples: int = RESAMPLES) -> CorpusReport:
    """The scores of one corpus with their intervals, and the details of its tasks."""
    found = tasks(answers)
    details = {prefix: report(task) for prefix, task in found.items()}
    return CorpusReport(
        rows=answers.total,
        errors=answers.total - len(answers.places),
        abstained=float(answers.abstained.mean()) if len(answers.places) else 0.0,
        scores={
            prefix + name: value
            for prefix, task in found.items()
            for name, value in intervals(task, resamples).items()
        },
        emotions=details.get(""),
        polarity=details.get(POLARITY),
    )


def intervals(task: Task, resamples: int = RESAMPLES) -> dict[str, Estimate]:
    """The scores of a task with their 95% intervals, by resampling rows or groups of rows."""
    return bootstrap(measure(task), len(task.actual), task.groups, resamples=resamples)


def tasks(answers: Answers) -> dict[str, Task]:
    """The tasks of a corpus by the prefix of their scores: "" emotions, "polarity_" polarity."""
    found = {"": _emotion_task(answers), POLARITY: _polarity_task(answers)}
    return {prefix: task for prefix, task in found.items() if task is not None}


def ask(model: Model, rows: Rows, done: Done = lambda rows: None) -> Answers:
    """Score rows; those that cannot be read are left out.

    Scores ask for a label of every row: where nothing was read (a text that is a link) it is the
    likeliest before reading, at a confidence of 0.
    """
    answers = predict_rows(rows, model.predictor, model.preparer, done)
    prior = model.predictor.prior()
    kept = [(i, answer) for i, answer in enumerate(answers) if isinstance(answer, Prediction)]
    places = np.array([i for i, _ in kept], dtype=np.int64)
    said = [answer for _, answer in kept]
    return Answers(
        rows=rows.take(places),
        places=places,
        total=len(answers),
        emotions=np.array([a.emotions if a.modalities else prior[0] for a in said]).reshape(
            -1, len(EMOTIONS)
        ),
        polarity=np.array([a.polarity if a.modalities else prior[1] for a in said]).reshape(
            -1, len(POLARITIES)
        ),
        passed=np.array(
            [[name in answer.labels for name in EMOTIONS] for answer in said], dtype=bool
        ).reshape(-1, len(EMOTIONS)),
        confidence=np.array([answer.confidence for answer in said]),
        abstained=np.array([answer.abstained for answer in said], dtype=bool),
    )


def shared(one: Answers, other: Answers) -> tuple[Answers, Answers]:
    """Two models' answers to the rows of a corpus that both could read."""
    _, here, there = np.intersect1d(one.places, other.places, return_indices=True)
    return one.take(here), other.take(there)


def is_single_label(emotions: npt.NDArray[np.floating]) -> bool:
    """Whether each row of `(rows, labels)` has at most one label, or shares that sum to one."""
    return bool((emotions.sum(axis=1) < 1 + 1e-3).all())


def predict_rows(
    rows: Rows, predictor: Predictor, preparer: Preparer, done: Done = lambda rows: None
) -> list[Prediction | ItemError]:
    """One answer a row, in order. `done` is told the rows of each chunk.

    A row that has nothing, or of which the cleaner left nothing, is an ItemError.
    """
    nothing = ItemError("there is nothing to read")
    answers: list[Prediction | ItemError] = []
    for start in range(0, len(rows), CHUNK):
        part = range(start, min(start + CHUNK, len(rows)))
        items = [Item(rows.texts[i], rows.images[i], rows.audios[i]) for i in part]
        prepared = [
            nothing if item == Item() else one
            for item, one in zip(items, preparer.prepare(items), strict=True)
        ]
        readable = [item for item in prepared if isinstance(item, Prepared)]
        scored = iter(predictor.predict(readable))
        answers += [item if isinstance(item, ItemError) else next(scored) for item in prepared]
        done(len(part))
    return answers


def _emotion_task(answers: Answers) -> Task | None:
    """Rows of one corpus share their annotation; None where there is none."""
    rows = answers.rows
    annotated = np.flatnonzero(~np.isnan(rows.emotions).all(axis=1))
    if not len(annotated):
        return None
    columns = np.flatnonzero(~np.isnan(rows.emotions[annotated]).any(axis=0))
    cells = np.ix_(annotated, columns)
    actual = rows.emotions[cells]
    single = is_single_label(actual)
    names = tuple(EMOTIONS[i] for i in columns)
    return Task(
        names=names,
        probabilities=answers.emotions[cells],
        actual=actual,
        passed=None if single else answers.passed[cells],
        confidence=answers.confidence[annotated],
        groups=_groups(rows, annotated),
        derived=None if single else derived(rows, names),
    )


def _polarity_task(answers: Answers) -> Task | None:
    rows = answers.rows
    annotated = np.flatnonzero((rows.polarity_weight == 1.0) & ~np.isnan(rows.polarity[:, 0]))
    if not len(annotated):
        return None
    return Task(
        names=POLARITIES,
        probabilities=answers.polarity[annotated],
        actual=rows.polarity[annotated],
        passed=None,
        confidence=answers.confidence[annotated],
        groups=_groups(rows, annotated),
    )


def _groups(rows: Rows, annotated: Ints) -> list[str | None] | None:
    groups = [rows.groups[i] for i in annotated]
    return groups if any(name is not None for name in groups) else None
