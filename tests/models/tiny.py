"""A release small enough to be made anew for each test, with random weights."""

from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

from models.fused import FusedModel
from models.labels import EMOTIONS
from models.ngrams import Ngrams
from models.release import (
    AudioConfig,
    Calibration,
    Config,
    FusionConfig,
    NgramConfig,
    TextConfig,
    write_json,
    write_manifest,
)
from models.weights import save_weights

WORDS = ["<pad>", "<unk>", "<s>", "</s>", "so", "today", "furious", "happy", "crying", "meeting"]
ENCODER = {
    "vocab_size": len(WORDS),
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 32,
    "layer_norm_eps": 1e-12,
    "type_vocab_size": 2,
    "pad_token_id": 0,
}
NGRAM_CONFIG = NgramConfig(bits=16, longest=3)


def tokenizer(words: list[str]) -> Tokenizer:
    """Whole words between <s> and </s>."""
    made = Tokenizer(WordLevel({word: n for n, word in enumerate(words)}, "<unk>"))
    made.pre_tokenizer = Whitespace()
    ends = [(word, words.index(word)) for word in ("<s>", "</s>")]
    made.post_processor = TemplateProcessing(single="<s> $A </s>", special_tokens=ends)
    return made


def make_ngrams(seed: int = 0) -> Ngrams:
    """N-grams that say something of every Chinese text."""
    generator = np.random.default_rng(seed)
    weights = generator.normal(0, 1, (1 << NGRAM_CONFIG.bits, len(EMOTIONS))).astype(np.float32)
    bias = generator.normal(0, 1, len(EMOTIONS)).astype(np.float32)
    return Ngrams(NGRAM_CONFIG, weights, bias)


def make_release(folder: Path, audio: bool = False, ngrams: bool = False) -> Path:
    """A whole release that reads text, and speech where wanted, with n-grams where wanted."""
    folder.mkdir(parents=True)
    config = Config(
        TextConfig(dict(ENCODER), 32, NGRAM_CONFIG if ngrams else None),
        audio=AudioConfig(16, 2, 32, 1) if audio else None,
        fusion=FusionConfig(16, 2, 1),
        calibration=Calibration(evidence=2.0 if ngrams else 1.0),
    )
    tokenizer(WORDS).save(str(folder / "tokenizer.json"))
    write_json(folder / "config.json", config)
    torch.manual_seed(0)
    save_weights(FusedModel(config).state_dict(), folder)
    if ngrams:
        make_ngrams().save(folder)
    write_manifest(folder, "tiny")
    return folder
