"""Guessing masked tokens before any label is seen."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from models.towers.text import TextTower
from models.training.loop import optimise
from models.training.masked_stage import MaskedTask, mask_token
from models.training.recipe import Fit, Reading, RecipeError
from tests.models.tiny import ENCODER, WORDS, tokenizer

TEXTS = ["so happy today", "so furious today", "crying today", "meeting today so"] * 8


def no_report(stage: str, step: int, steps: int, loss: float) -> None:
    """Say nothing."""


@pytest.fixture
def task() -> MaskedTask:
    torch.manual_seed(0)
    reading = Reading(["posts"], tokens_per_batch=40)
    tower = TextTower(dict(ENCODER))
    return MaskedTask(tower, tokenizer(WORDS), TEXTS, reading, seed=1, half=False)


def test_hidden_tokens_are_told_and_markers_stay(task: MaskedTask) -> None:
    texts = [torch.tensor([2, 4, 6, 5, 3]), torch.tensor([2, 8, 5, 3])] * 200
    before = torch.cat(texts)
    given, wanted, places = task.hide(texts, torch.Generator().manual_seed(0))
    after = torch.cat(given)
    assert [len(text) for text in given] == [len(text) for text in texts]
    assert torch.equal(before[places], wanted)
    changed = (before != after).nonzero()[:, 0]
    assert set(changed.tolist()) <= set(places.tolist())
    assert not set(wanted.tolist()) & {2, 3}
    assert 0.1 < len(places) / (after > 3).sum() < 0.25
    assert (after[places] == 1).float().mean() == pytest.approx(0.8, abs=0.1)


def test_every_text_comes_once_an_epoch(task: MaskedTask) -> None:
    batches = task.batches(3)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(TEXTS)))
    assert all(sum(len(task.ids[i]) for i in batch) <= 40 for batch in batches)


def test_it_learns_which_words_there_are(task: MaskedTask, tmp_path: Path) -> None:
    losses: list[float] = []
    fit = Fit(epochs=40, rate=3e-3, head_rate=3e-3, average=0.9)
    optimise(task, fit, tmp_path, stage="reading", report=lambda *said: losses.append(said[3]))
    assert losses[-1] < 0.75 * losses[0]


def test_a_vocabulary_without_a_mask_hides_behind_the_unknown() -> None:
    assert mask_token(tokenizer(WORDS)) == 1
    assert mask_token(tokenizer([*WORDS, "<mask>"])) == len(WORDS)
    with pytest.raises(RecipeError, match="to hide a token with"):
        mask_token(Tokenizer(WordLevel({"so": 0}, "so")))
