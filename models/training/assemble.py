"""From trained towers to a release: the fusion, calibration, weights, scores and card."""

import shutil
from pathlib import Path

import msgspec
import numpy as np
import torch
from safetensors.torch import load_file

from models.corpora import Rows
from models.device import settled_dtype
from models.fused import FusedModel
from models.fusion import Fusion
from models.labels import EMOTIONS
from models.prepare import Preparer, read_tokenizer
from models.preprocess.cleaning import Clean, plain
from models.release import (
    NGRAMS,
    AudioConfig,
    Calibration,
    Config,
    ImageConfig,
    TextConfig,
    read_config,
    write_json,
)
from models.towers.text import TextTower
from models.training import ngram_stage
from models.training.calibration import Evidence, calibrate, logits
from models.training.card import describe
from models.training.data import split_train
from models.training.features import Features, compute_features
from models.training.fusion_stage import FusionTask, composites, distracted, own_samples
from models.training.job import Job
from models.training.loop import optimise
from models.training.progress import Report
from models.training.recipe import Recipe, RecipeError
from models.weights import save_weights

HELD_ROWS = 1500  # held-out rows of a corpus that calibration looks at
HELD_COMPOSITES = 3000


def train_fusion(job: Job) -> Path:
    """Train the fusion on the finished towers of the run and write its `release`."""
    plan, data, out = job.plan, job.data, job.out
    release = out / "release"
    release.mkdir(exist_ok=True)
    model = build(job, release)
    model.place(job.device, settled_dtype(out, job.device))
    preparer = Preparer(read_tokenizer(release), read_config(release))
    learnt, held = fusion_rows(plan, data, job.clean)
    kept = out / "fusion"
    learnt_features = _features(learnt, model, preparer, job.report, kept / "features.safetensors")
    held_features = _features(held, model, preparer, job.report, kept / "held-out.safetensors")
    torch.manual_seed(plan.seed)
    task = FusionTask(model.fusion, learnt, learnt_features, plan.fusion, plan.seed)
    if not optimise(task, plan.fusion.fit, out / "fusion", stage="fusion", report=job.report):
        return release
    save_model(plan, out, model, release)
    evidence = add_ngrams(job, model.fusion, held, held_features)
    joined = composites(held, held_features, HELD_COMPOSITES, plan.seed)
    beside = distracted(held, held_features, plan.fusion.distracted // 10, plan.seed)
    samples = own_samples(held, held_features)
    # Voices are few: what is held out of them is too little, so composites speak for them too.
    both = np.concatenate([samples, joined])
    calibration = calibrate(
        model.fusion,
        held,
        held_features,
        both,
        plan.fusion.multi,
        distracted=beside,
        evidence=evidence,
    )
    config = shape(plan, model.text, calibration)
    write_json(release / "config.json", config)
    describe(release, plan, data, out, job.clean)
    return release


def add_ngrams(job: Job, fusion: Fusion, held: Rows, features: Features) -> Evidence | None:
    """Fit the n-grams, where the recipe has them, and write them into `release`.

    Returns what they say of the `held` rows, on whose texts their weight is chosen.
    """
    plan, recipe, release = job.plan, job.plan.text.ngrams, job.out / "release"
    if recipe is None:
        (release / NGRAMS).unlink(missing_ok=True)
        return None
    learnt, _ = split_train(
        job.data, recipe.corpora, plan.dev, plan.held_out, plan.seed, clean=None
    )
    read = own_samples(held, features)
    read = read[read[:, 0] >= 0]
    read[:, 1:3] = -1
    emotions, _ = logits(fusion, features, read)
    texts = held.take(read[:, 3])
    ngrams = ngram_stage.weighed(ngram_stage.fit(learnt, recipe), emotions, texts)
    ngrams.save(release)
    said = ngrams.evidence(ngram_stage.plain(texts))
    every = np.zeros((len(held), len(EMOTIONS)), np.float32)
    every[read[:, 3]] = said
    return Evidence(every, ngram_stage.divisor(said, emotions, texts))


def build(job: Job, release: Path) -> FusedModel:
    """The model with the towers of the run, its tokenizer and a first config in `release`."""
    plan = job.plan
    start = Path(job.start(plan.text.start))
    shutil.copyfile(start / "tokenizer.json", release / "tokenizer.json")
    text = TextTower.start_from(str(start), plan.text.layers)
    config = shape(plan, text)
    write_json(release / "config.json", config)
    torch.manual_seed(plan.seed)
    model = FusedModel(config)
    for name in model.towers:
        path = job.out / name / "tower.safetensors"
        if not path.is_file():
            raise RecipeError(f"{path} is missing: train the {name} tower first")
        getattr(model, name).load_state_dict(load_file(path))
    return model.eval()


def shape(plan: Recipe, text: TextTower, calibration: Calibration | None = None) -> Config:
    """The release's config."""
    audio = plan.audio
    return Config(
        TextConfig(
            text.config,
            min(plan.text.max_tokens, text.config["max_position_embeddings"]),
            plan.text.ngrams.shape if plan.text.ngrams else None,
        ),
        ImageConfig(plan.image.size) if plan.image else None,
        AudioConfig(audio.width, audio.heads, audio.ffn, audio.layers) if audio else None,
        plan.fusion.shape,
        calibration or Calibration(),
    )


def fusion_rows(plan: Recipe, data: Path, clean: Clean = plain) -> tuple[Rows, Rows]:
    """The rows that teach the fusion, none repeated, and held-out rows of the same corpora."""
    once = [msgspec.structs.replace(corpus, repeat=1) for corpus in plan.fusion.corpora]
    learnt, held = split_train(data, once, plan.dev, plan.held_out, plan.seed, clean=clean)
    names = [corpus.name for corpus in plan.fusion.corpora]
    places = [np.flatnonzero(held.corpus == name)[:HELD_ROWS] for name in names]
    return learnt, held.take(np.concatenate(places))


def save_model(plan: Recipe, out: Path, model: FusedModel, release: Path) -> None:
    """Write the weights in half precision, the towers from their files, unrounded by bfloat16."""
    weights = {f"fusion.{key}": value for key, value in model.fusion.state_dict().items()}
    for name in model.towers:
        stored = load_file(out / name / "tower.safetensors")
        weights |= {f"{name}.{key}": value for key, value in stored.items()}
    save_weights(weights, release)


def _features(
    rows: Rows, model: FusedModel, preparer: Preparer, report: Report, kept: Path
) -> Features:
    """What the towers make of `rows`; read from `kept` where a run before has computed it."""
    if kept.is_file():
        return Features.load(kept)
    for step in compute_features(rows, model, preparer):
        if isinstance(step, Features):
            step.save(kept)
            return step
        report(kept.stem, step, len(rows), float("nan"))
    raise RecipeError("the fusion has no rows to learn from")
