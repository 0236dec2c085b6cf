"""What scores do when a modality is missing, added, or spoilt."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import msgspec
import numpy as np

from models.corpora import Rows
from models.degrade import add_noise, blur_pictures, drop_words, modalities, only
from models.evaluation import POLARITY, Answers, Done, Model, ask, intervals, shared, tasks
from models.intervals import Difference, Estimate, paired
from models.labels import Modality
from models.tasks import measure

ROWS = 500  # of a corpus, drawn by seed
DROPPED = (0.0, 0.1, 0.2, 0.4, 0.6, 0.8)  # share of the words
BLURRED = (0.0, 0.01, 0.02, 0.04, 0.08)  # radius, share of the picture's side
SNR_DB = (np.inf, 20.0, 10.0, 5.0, 0.0, -5.0)  # signal to noise
ALLOWED_COST = 0.01  # of a modality that has nothing to say


class Subset(msgspec.Struct, frozen=True):
    """A corpus read by some of its modalities alone."""

    corpus: str
    modalities: tuple[Modality, ...]
    score: Estimate
    calibration_error: Estimate


class Added(msgspec.Struct, frozen=True):
    """A corpus with a picture or a voice added that has nothing to do with the post.

    `difference`: with it less without it, on the same rows. `within`: it costs at most a point.
    """

    corpus: str
    added: tuple[Modality, ...]
    alone: Estimate
    together: Estimate
    difference: Difference
    within: bool


class Curve(msgspec.Struct, frozen=True):
    """A corpus spoilt more and more; the first level is the corpus as it is.

    `rises`: the levels that score better than the one before by more than noise.
    """

    corpus: str
    change: str
    levels: list[float | None]
    scores: list[Estimate]
    rises: list[float]


class Robustness(msgspec.Struct, frozen=True):
    """`scored_by`: macro-F1 of emotions, or accuracy of polarity where there are none."""

    scored_by: dict[str, str]
    subsets: list[Subset]
    added: list[Added]
    curves: list[Curve]


def robustness(
    model: Model, corpora: dict[str, Rows], done: Done = lambda rows: None, seed: int = 0
) -> Robustness:
    """Every subset of modalities, unrelated pictures and voices, and three degradations.

    At most `ROWS` rows of each corpus, those that can be read. The same seed spoils and draws
    alike.
    """
    generator = np.random.default_rng(seed)
    whole: dict[str, Answers] = {}
    for name, every in corpora.items():
        rows = every.take(np.sort(generator.permutation(len(every))[:ROWS]))
        answers = readable(ask(model, rows, done))
        if tasks(answers):
            whole[name] = answers
    images = _pool([answers.rows.images for answers in whole.values()], generator)
    audios = _pool([answers.rows.audios for answers in whole.values()], generator)
    result = Robustness({}, [], [], [])
    for name, answers in whole.items():
        trial = _Trial(name, answers.rows, answers, model, done, seed)
        result.scored_by[name] = trial.score
        result.subsets.extend(trial.subsets())
        if modalities(answers.rows) == ("text",):
            result.added.extend(trial.added(images, audios, generator))
        result.curves.extend(trial.curves())
    return result


def readable(answers: Answers) -> Answers:
    """The same, as if there were no rows but those that could be read."""
    count = len(answers.places)
    return dataclasses.replace(answers, places=np.arange(count), total=count)


def headline(answers: Answers) -> str:
    """The score that a corpus is known by: of its emotions, where more than one of them occurs."""
    found = tasks(answers)
    varied = "" in found and found[""].marked.any(axis=0).sum() > 1
    return "macro_f1" if varied or POLARITY not in found else f"{POLARITY}accuracy"


CHANGES: dict[Modality, tuple[str, tuple[float, ...], Callable[[Rows, float, int], Rows]]] = {
    "text": ("words left out, share", DROPPED, drop_words),
    "image": ("blur radius, share of the side", BLURRED, blur_pictures),
    "audio": ("signal to noise, dB", SNR_DB, add_noise),
}


def rises(steps: Sequence[Difference], level: float = 0.05) -> list[int]:
    """The steps up that noise does not explain (Bonferroni over all steps): their places."""
    return [i for i, step in enumerate(steps) if step.value > 0 and step.p < level / len(steps)]


def compare(first: Answers, second: Answers, score: str) -> Difference:
    """One score of `first` less that of `second`, on the rows that both could read."""
    one, other = shared(first, second)
    prefix = POLARITY if score.startswith(POLARITY) else ""
    task, rival = tasks(one)[prefix], tasks(other)[prefix]
    found = paired(measure(task), measure(rival), len(task.actual), task.groups)
    return found[score.removeprefix(prefix)]


def estimate(answers: Answers, score: str) -> Estimate:
    """One score with its interval."""
    prefix = POLARITY if score.startswith(POLARITY) else ""
    return intervals(tasks(answers)[prefix])[score.removeprefix(prefix)]


@dataclass(frozen=True, slots=True)
class _Trial:
    """One corpus, what the model says of it as it is, and how to ask again."""

    name: str
    rows: Rows
    whole: Answers
    model: Model
    done: Done
    seed: int

    @property
    def score(self) -> str:
        return headline(self.whole)

    def subsets(self) -> Iterator[Subset]:
        given = modalities(self.rows)
        if len(given) < 2:
            return
        calibration = self.score.replace("macro_f1", "calibration_error").replace(
            "accuracy", "calibration_error"
        )
        for size in range(1, len(given) + 1):
            for kept in combinations(given, size):
                answers = ask(self.model, only(self.rows, kept), self.done)
                if not tasks(answers):  # the release reads none of them
                    continue
                yield Subset(
                    self.name,
                    kept,
                    estimate(answers, self.score),
                    estimate(answers, calibration),
                )

    def added(
        self, images: list[bytes], audios: list[bytes], generator: np.random.Generator
    ) -> Iterator[Added]:
        pictures = dataclasses.replace(self.rows, images=_drawn(images, self.rows, generator))
        voices = dataclasses.replace(self.rows, audios=_drawn(audios, self.rows, generator))
        both = dataclasses.replace(pictures, audios=voices.audios)
        for rows in (pictures, voices, both):
            extra = tuple(name for name in modalities(rows) if name != "text")
            if extra:
                yield self._with(extra, rows)

    def _with(self, extra: tuple[Modality, ...], rows: Rows) -> Added:
        answers = ask(self.model, rows, self.done)
        alone, together = estimate(self.whole, self.score), estimate(answers, self.score)
        difference = compare(answers, self.whole, self.score)
        within = difference.value >= -ALLOWED_COST
        return Added(self.name, extra, alone, together, difference, within)

    def curves(self) -> Iterator[Curve]:
        for kind in modalities(self.rows):
            change, levels, spoil = CHANGES[kind]
            answers = [
                self.whole,
                *(
                    ask(self.model, spoil(self.rows, level, self.seed), self.done)
                    for level in levels[1:]
                ),
            ]
            steps = [compare(later, earlier, self.score) for earlier, later in pairwise(answers)]
            yield Curve(
                self.name,
                change,
                [level if np.isfinite(level) else None for level in levels],
                [estimate(answer, self.score) for answer in answers],
                [levels[place + 1] for place in rises(steps)],
            )


def _drawn(pool: list[bytes], rows: Rows, generator: np.random.Generator) -> list[bytes | None]:
    if not pool:
        return [None] * len(rows)
    return [pool[i] for i in generator.integers(0, len(pool), len(rows))]


def _pool(columns: list[list[bytes | None]], generator: np.random.Generator) -> list[bytes]:
    """Up to `ROWS` files, as many of each corpus that has some."""
    files = [[part for part in column if part is not None] for column in columns]
    files = [column for column in files if column]
    each = ROWS // max(1, len(files))
    return [column[i] for column in files for i in generator.permutation(len(column))[:each]]
