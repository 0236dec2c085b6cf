"""What joining modalities is worth, over seeds of the fusion.

    python -m benchmarks.fusion_seeds RECIPE DATA RUN [SEEDS]    5 seeds, 2 at least

Trains the fusion of a finished run anew on the towers' vectors that the run has kept, once a seed,
and prints the polarity accuracy on the dev tweets with a picture: text, picture, both.
"""

import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from models.corpora import Rows, read_split
from models.device import settled_dtype
from models.fusion import Fusion
from models.prepare import Preparer, read_tokenizer
from models.release import read_config
from models.training.assemble import build, fusion_rows
from models.training.calibration import logits
from models.training.features import Features, compute_features
from models.training.fusion_stage import FusionTask, own_samples
from models.training.job import Job
from models.training.loop import optimise
from models.training.recipe import read_recipe

CORPUS = "mvsa_single"
SUBSETS = {"text": (0,), "image": (1,), "text+image": (0, 1)}  # columns of MODALITIES


def main(recipe: str, data: str, run: str, seeds: str = "5") -> None:
    """Print a line a seed, then the means, and the gain over the better part alone."""
    job = Job(read_recipe(Path(recipe)), Path(data), Path(run), torch.device("cpu"), _silent)
    torch.set_num_threads(job.plan.threads)
    learnt, _ = fusion_rows(job.plan, job.data)
    vectors = Features.load(job.out / "fusion" / "features.safetensors")
    dev = read_split(job.data, CORPUS, "dev")
    seen = _dev_vectors(job, dev)
    found: list[dict[str, float]] = []
    for seed in range(1, max(2, int(seeds)) + 1):
        fusion = _trained(job, seed, learnt, vectors)
        found.append(_accuracies(fusion, dev, seen))
        print(f"seed {seed}: {_words(found[-1])}", flush=True)
    print("mean:", _words({name: statistics.mean(one[name] for one in found) for name in SUBSETS}))
    gains = [one["text+image"] - max(one["text"], one["image"]) for one in found]
    print(f"gain {statistics.mean(gains):.3f}, deviation {statistics.stdev(gains):.3f}")


def _dev_vectors(job: Job, dev: Rows) -> Features:
    with tempfile.TemporaryDirectory() as folder:
        model = build(job, Path(folder))
        model.place(job.device, settled_dtype(job.out, job.device))
        preparer = Preparer(read_tokenizer(Path(folder)), read_config(Path(folder)))
        *_, found = compute_features(dev, model, preparer)
    if not isinstance(found, Features):
        raise TypeError("the features do not come last")
    return found


def _trained(job: Job, seed: int, learnt: Rows, vectors: Features) -> Fusion:
    plan = job.plan.fusion
    torch.manual_seed(seed)
    dims = {name: value.shape[1] for name, value in vectors.vectors.items()}
    fusion = Fusion(plan.shape, {str(name): dim for name, dim in dims.items()})
    task = FusionTask(fusion, learnt, vectors, plan, seed)
    with tempfile.TemporaryDirectory() as folder:
        optimise(task, plan.fit, Path(folder), stage="fusion", report=_silent)
    return fusion.eval()


def _accuracies(fusion: Fusion, dev: Rows, seen: Features) -> dict[str, float]:
    truth = dev.polarity.argmax(axis=1)
    found: dict[str, float] = {}
    for name, columns in SUBSETS.items():
        samples = own_samples(dev, seen)
        samples[:, [column for column in range(3) if column not in columns]] = -1
        _, polarity = logits(fusion, seen, samples)
        found[name] = float(np.mean(polarity.argmax(axis=1) == truth))
    return found


def _words(scores: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.3f}" for name, value in scores.items())


def _silent(stage: str, step: int, steps: int, loss: float) -> None:
    pass


if __name__ == "__main__":
    main(*sys.argv[1:])
