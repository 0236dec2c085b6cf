"""Before any label: the text tower learns the language of posts by guessing masked tokens.

Devlin et al. 2019, arXiv:1810.04805; on the texts of the task itself Gururangan et al. 2020,
arXiv:2004.10964.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, gelu, linear

from models.preprocess.text import normalise
from models.towers.text import TextTower
from models.training.loop import Indices
from models.training.packing import packed_epoch
from models.training.recipe import Fit, Reading, RecipeError

CHOSEN = 0.15  # share of the tokens that are to be guessed
MASKED, SWAPPED = 0.8, 0.1  # of those: hidden, and replaced by any other; the rest stay
MASKS = ("<mask>", "[MASK]", "<unk>", "[UNK]")


class Guess(nn.Module):
    """Token states to logits over the vocabulary, through the tower's own embeddings."""

    def __init__(self, tower: TextTower) -> None:
        super().__init__()
        self.tower = tower
        self.dense = nn.Linear(tower.dim, tower.dim)
        self.norm = nn.LayerNorm(tower.dim)
        self.bias = nn.Parameter(torch.zeros(tower.config["vocab_size"]))

    def forward(self, states: Tensor) -> Tensor:
        """`(tokens, dim)` to `(tokens, vocabulary)`."""
        words = self.tower.encoder.embeddings.get_parameter("word_embeddings.weight")
        return linear(self.norm(gelu(self.dense(states))), words, self.bias)


class MaskedTask:
    """Every text once an epoch, other tokens masked each time."""

    def __init__(
        self,
        tower: TextTower,
        tokenizer: Tokenizer,
        texts: Sequence[str],
        recipe: Reading,
        *,
        seed: int,
        half: bool,
    ) -> None:
        self.tower, self._mask = tower, mask_token(tokenizer)
        self.device = next(tower.parameters()).device
        self.module: nn.Module = Guess(tower).to(self.device)
        codes = tokenizer.encode_batch([normalise(text) for text in texts])
        self.ids = [torch.tensor(code.ids, dtype=torch.int32) for code in codes]
        self._budget = recipe.tokens_per_batch
        self._seed, self._half = seed, half

    def groups(self, fit: Fit) -> list[dict[str, Any]]:
        """One rate for the tower, one for what is new."""
        known = set(self.tower.parameters())
        new = [p for p in self.module.parameters() if p not in known]
        return [
            {"params": list(self.tower.parameters()), "lr": fit.rate},
            {"params": new, "lr": fit.head_rate},
        ]

    def batches(self, epoch: int) -> list[Indices]:
        """Every text once."""
        generator = np.random.default_rng([self._seed, 7, epoch])
        return packed_epoch([len(ids) for ids in self.ids], self._budget, generator)

    def loss(self, batch: Indices, step: int) -> Tensor:
        """Cross-entropy, the mean over the tokens that were chosen."""
        generator = torch.Generator().manual_seed(self._seed * 1_000_003 + step)
        given, wanted, places = self.hide([self.ids[i] for i in batch], generator)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._half):
            states = self.tower.encode(given).packed
            logits = self.module(states[places.to(self.device)])
        return cross_entropy(logits.float(), wanted.to(self.device))

    def hide(
        self, texts: Sequence[Tensor], generator: torch.Generator
    ) -> tuple[list[Tensor], Tensor, Tensor]:
        """Texts with tokens hidden, the tokens `(chosen,)` that were there, and their places
        `(chosen,)` in the row of all. A text's first and last token are its markers and stay."""
        lengths = [len(ids) for ids in texts]
        row = torch.cat(list(texts)).long()
        ends = torch.tensor(lengths).cumsum(0)
        inner = torch.ones(len(row), dtype=torch.bool)
        inner[ends - 1] = False
        inner[torch.cat([ends.new_zeros(1), ends[:-1]])] = False
        chosen = (torch.rand(len(row), generator=generator) < CHOSEN) & inner
        if not chosen.any():
            chosen[0] = True
        places = chosen.nonzero()[:, 0]
        wanted = row[places]
        fate = torch.rand(len(places), generator=generator)
        vocabulary = self.tower.config["vocab_size"]
        other = torch.randint(vocabulary, (len(places),), generator=generator)
        seen = torch.where(fate < MASKED, torch.full_like(wanted, self._mask), wanted)
        row[places] = torch.where(fate > 1 - SWAPPED, other, seen)
        return list(torch.split(row, lengths)), wanted, places


def mask_token(tokenizer: Tokenizer) -> int:
    """What hides a token: the mask, or what stands for unknown ones where a cut vocabulary has no
    mask. Raises RecipeError for a tokenizer that has neither."""
    for name in MASKS:
        token = tokenizer.token_to_id(name)
        if token is not None:
            return token
    raise RecipeError(f"the tokenizer has none of {', '.join(MASKS)} to hide a token with")
