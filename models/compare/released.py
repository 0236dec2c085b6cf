"""The released model on the tasks of the comparison. It learnt from more: see its card."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.classic.posts import Indices, Posts
from models.compare.recipe import ComparedTask
from models.errors import ItemError
from models.labels import EMOTIONS, POLARITIES
from models.prediction import Prediction, Spoken
from models.predictor import Predictor
from models.prepare import Item, Prepared, Preparer
from models.release import parameters

CHUNK = 256  # posts prepared at a time


@dataclass(frozen=True, slots=True)
class Released:
    """A release, asked for one of the classes of a task."""

    predictor: Predictor
    preparer: Preparer
    parameters: int

    @classmethod
    def load(cls, release: Path) -> "Released":
        """Raises ReleaseError."""
        predictor, preparer = Predictor.load(release, "cpu"), Preparer.load(release)
        return cls(predictor, preparer, parameters(release))

    def predict(self, posts: Posts, task: ComparedTask) -> Indices:
        """Class of each post, `(posts,)`: the likeliest of the task's own."""
        names = POLARITIES if task.label == "polarity" else EMOTIONS
        columns = [names.index(name) for name in posts.classes]
        found: list[int] = []
        prior = self.predictor.prior()
        for start in range(0, len(posts), CHUNK):
            part = range(start, min(start + CHUNK, len(posts)))
            items = [Item(posts.texts[i], posts.images[i], posts.audios[i]) for i in part]
            prepared = self.preparer.prepare(items)
            ready = [Prepared() if isinstance(item, ItemError) else item for item in prepared]
            found += [_choice(a, prior, task, columns) for a in self.predictor.predict(ready)]
        return np.array(found, np.int64)


def _choice(
    answer: Prediction | ItemError, prior: Spoken, task: ComparedTask, columns: list[int]
) -> int:
    """One of the classes in any case: of what was not read the likeliest before reading."""
    if isinstance(answer, ItemError):
        return 0
    emotions, polarity = (answer.emotions, answer.polarity) if answer.modalities else prior
    odds = polarity if task.label == "polarity" else emotions
    return int(odds[columns].argmax())
