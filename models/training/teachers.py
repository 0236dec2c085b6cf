"""What finished releases say of the texts that a tower learns from: distillation (Hinton et al.
2015, arXiv:1503.02531), from several teachers into a smaller or a more general student."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file

from models.corpora import Rows
from models.degrade import only
from models.evaluation import Model, ask
from models.labels import EMOTIONS, POLARITIES
from models.registry import find_release
from models.training.checkpoint import write_whole
from models.training.job import Job
from models.training.licences import refuse_narrower
from models.training.recipe import RecipeError, Teacher

Floats = npt.NDArray[np.float32]
LABELS = len(EMOTIONS) + len(POLARITIES)


@dataclass(frozen=True, slots=True)
class Lessons:
    """The mean of the teachers' calibrated probabilities, row by row: `emotions` `(rows, 7)` and
    `polarity` `(rows, 3)`, NaN where none of them teaches."""

    emotions: Floats
    polarity: Floats

    def of(self, rows: Rows, indices: npt.NDArray[np.int64]) -> Rows:
        """`rows`, taken at `indices` of all, labelled by the teachers; what none teaches has no
        label."""
        return dataclasses.replace(
            rows,
            emotions=self.emotions[indices],
            polarity=self.polarity[indices],
            polarity_weight=np.ones(len(indices), np.float32),
        )

    def known(self, indices: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Which of these rows have a teacher, `(rows,)`."""
        known: npt.NDArray[np.bool_] = ~np.isnan(self.polarity[indices, 0])
        return known


def learn(job: Job, rows: Rows) -> Lessons:
    """Ask each teacher once for each text of its corpora; what one said is kept for the next run.

    A teacher's release lies beside the run's folder, or where it says, or is a shipped one.
    Raises RecipeError for a corpus of which there are no rows, or for a teacher whose use is
    narrower than what the recipe's own corpora allow; ReleaseError for a release that is not whole.
    """
    total = np.zeros((len(rows), LABELS), np.float32)
    said = np.zeros((len(rows), 1), np.float32)
    texts = only(rows, ("text",))
    for number, teacher in enumerate(job.plan.text.teachers):
        places = _places(rows, teacher)
        first, back = _once(rows, places)
        kept = job.out / "text" / f"lessons-{number}.safetensors"
        if not kept.is_file():
            answers = _answers(teacher, texts.take(first), job)
            write_whole({"answers": torch.from_numpy(answers)}, kept)
        total[places] += load_file(kept)["answers"].numpy()[back]
        said[places] += 1
    mean = np.where(said > 0, total / np.maximum(said, 1), np.float32("nan"))
    return Lessons(mean[:, : len(EMOTIONS)], mean[:, len(EMOTIONS) :])


def _places(rows: Rows, teacher: Teacher) -> npt.NDArray[np.int64]:
    places = np.flatnonzero(np.isin(rows.corpus, teacher.corpora))
    absent = set(teacher.corpora) - set(rows.corpus[places])
    if absent:
        raise RecipeError(
            f"the teacher {teacher.release} is to teach {', '.join(sorted(absent))}, "
            "of which the text tower has no rows"
        )
    return places


def _once(
    rows: Rows, places: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Of these places one for each text, and for each place which of them has its text."""
    number: dict[str, int] = {}
    first: list[int] = []
    back = np.empty(len(places), np.int64)
    for index, place in enumerate(places):
        text = rows.texts[place] or ""
        if text not in number:
            number[text] = len(first)
            first.append(int(place))
        back[index] = number[text]
    return np.array(first, np.int64), back


def _release(teacher: Teacher, job: Job) -> Path:
    beside = job.out.parent / teacher.release
    release = beside if beside.is_dir() else find_release(teacher.release)
    refuse_narrower(job.plan, f"the teacher {teacher.release}", release)
    return release


def _answers(teacher: Teacher, rows: Rows, job: Job) -> Floats:
    """Its probabilities, `(rows, 10)`; NaN for a row without text."""
    model = Model.load(_release(teacher, job), job.device.type)
    asked = 0

    def done(count: int) -> None:
        nonlocal asked
        asked += count
        job.report(f"asking {teacher.release}", asked, len(rows), float("nan"))

    worded = np.flatnonzero([text is not None for text in rows.texts])
    answers = ask(model, rows.take(worded), done)
    if len(answers.places) != len(worded):
        raise RecipeError(f"the teacher {teacher.release} cannot read some of the texts")
    said = np.full((len(rows), LABELS), np.nan, np.float32)
    said[worded] = np.concatenate([answers.emotions, answers.polarity], axis=1)
    return said
