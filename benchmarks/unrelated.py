"""What pictures and voices that have nothing to do with a text cost, over many draws.

    python -m benchmarks.unrelated DATA [RELEASE [DRAWS]]    fused-joint, 10 draws, 2 at least

Each dev row passes its tower once; the fusion then reads every text beside pictures (faces and
those of posts, half and half) and voices of other corpora. `weathervane evaluate --robustness` asks
the same of whole posts, with one draw and at most 500 rows of a corpus.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from models.corpora import Rows, join
from models.evaluation import POLARITY, Answers, labelled, tasks
from models.fused import FusedModel
from models.labels import EMOTIONS, MODALITIES
from models.metrics import Ints
from models.ngrams import Ngrams
from models.prediction import calibrated
from models.prepare import Preparer
from models.registry import find_release
from models.release import Calibration, read_config
from models.robustness import headline
from models.tasks import measure
from models.training.calibration import Evidence, logits
from models.training.features import Features, compute_features
from models.training.fusion_stage import Samples, own_samples
from models.training.ngram_stage import plain
from models.weights import load_weights

ADDED = {"image": (1,), "audio": (2,), "image+audio": (1, 2)}  # columns of MODALITIES


@dataclass(frozen=True, slots=True)
class Bench:
    """A release and what its towers make of the dev rows."""

    model: FusedModel
    calibration: Calibration
    rows: Rows
    features: Features
    evidence: Evidence | None

    def score(self, samples: Samples) -> float:
        """The headline score of samples of one corpus, of which all have the same modalities."""
        names = tuple(name for n, name in enumerate(MODALITIES) if samples[0, n] >= 0)
        found = logits(self.model.fusion, self.features, samples, self.evidence)
        emotions, polarity = calibrated(*found, names, self.calibration)
        limits = [self.calibration.thresholds.get(name, 0.5) for name in EMOTIONS]
        answers = Answers(
            self.rows.take(samples[:, 3]),
            np.arange(len(samples)),
            len(samples),
            emotions=emotions,
            polarity=polarity,
            passed=emotions >= np.array(limits),
            confidence=emotions.max(axis=1),
            abstained=np.zeros(len(samples), bool),
        )
        name = headline(answers)
        prefix = POLARITY if name.startswith(POLARITY) else ""
        return float(measure(tasks(answers)[prefix])(None)[name.removeprefix(prefix)])


def main(data: str, release: str = "fused-joint", draws: str = "10") -> None:
    """Print a line a corpus: its score, and the mean cost of each addition with its error."""
    torch.set_num_threads(1)
    bench = _bench(Path(data), find_release(release))
    print("points of macro-F1, or of accuracy of polarity, over", max(2, int(draws)), "draws")
    for name, own in _texts(bench):
        alone = bench.score(own)
        costs = [
            [100 * (bench.score(samples) - alone) for samples in _additions(bench, own, seed)]
            for seed in range(max(2, int(draws)))
        ]
        means, errors = np.mean(costs, axis=0), np.std(costs, axis=0, ddof=1) / len(costs) ** 0.5
        words = (
            f"{kind} {mean:+.2f} ± {error:.2f}"
            for kind, mean, error in zip(ADDED, means, errors, strict=True)
        )
        print(f"{name:20} {len(own):5} {alone:.3f}  " + "  ".join(words), flush=True)


def _bench(data: Path, release: Path) -> Bench:
    config, preparer = read_config(release), Preparer.load(release)
    model = load_weights(config, release)
    corpora = [rows for _, rows, _ in labelled(data, "dev")]
    if not corpora:
        sys.exit(f"{data} holds no corpus with dev rows: see docs/models.md, Training")
    rows = join(corpora)
    *_, features = compute_features(rows, model, preparer)
    if not isinstance(features, Features):
        raise TypeError("the features do not come last")
    evidence = None
    if config.text.ngrams:
        ngrams = Ngrams.load(release, config.text.ngrams)
        evidence = Evidence(ngrams.evidence(plain(rows)), config.calibration.evidence)
    model.fusion.float()
    return Bench(model, config.calibration, rows, features, evidence)


def _texts(bench: Bench) -> Iterator[tuple[str, Samples]]:
    """The corpora that are nothing but text."""
    own = own_samples(bench.rows, bench.features)
    for name in sorted(set(bench.rows.corpus)):
        here = own[bench.rows.corpus == name]
        if (here[:, 0] >= 0).all() and (here[:, 1:3] < 0).all():
            yield str(name), here


def _pools(features: Features) -> list[Ints]:
    """The rows to draw from: faces, pictures of posts, voices."""
    text, image, audio = (features.place[name] >= 0 for name in MODALITIES)
    pools = {"faces": image & ~text, "pictures of posts": image & text, "voices": audio}
    if missing := [name for name, rows in pools.items() if not rows.any()]:
        sys.exit(f"the release reads none, or the dev rows have none: {', '.join(missing)}")
    return [np.flatnonzero(rows) for rows in pools.values()]


def _additions(bench: Bench, own: Samples, seed: int) -> Iterator[Samples]:
    generator = np.random.default_rng(seed)
    faces, pictures, voices = _pools(bench.features)
    shown = generator.random(len(own)) < 0.5
    drawn: dict[int, Ints] = {
        1: np.where(shown, *(generator.choice(pool, len(own)) for pool in (faces, pictures))),
        2: generator.choice(voices, len(own)),
    }
    for columns in ADDED.values():
        samples = own.copy()
        for column in columns:
            samples[:, column] = drawn[column]
        yield samples


if __name__ == "__main__":
    main(*sys.argv[1:])
