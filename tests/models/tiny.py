"""A release small enough to be made anew for each test, with random weights."""

from pathlib import Path

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

from models.fused import FusedModel
from models.release import AudioConfig, Config, FusionConfig, TextConfig, write_json, write_manifest
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


def tokenizer(words: list[str]) -> Tokenizer:
    """Whole words between <s> and </s>."""
    made = Tokenizer(WordLevel({word: n for n, word in enumerate(words)}, "<unk>"))
    made.pre_tokenizer = Whitespace()
    ends = [(word, words.index(word)) for word in ("<s>", "</s>")]
    made.post_processor = TemplateProcessing(single="<s> $A </s>", special_tokens=ends)
    return made


def make_release(folder: Path, audio: bool = False) -> Path:
    """A whole release that reads text, and speech where wanted."""
    folder.mkdir(parents=True)
    config = Config(
        TextConfig(dict(ENCODER), 32),
        audio=AudioConfig(16, 2, 32, 1) if audio else None,
        fusion=FusionConfig(16, 2, 1),
    )
    tokenizer(WORDS).save(str(folder / "tokenizer.json"))
    write_json(folder / "config.json", config)
    torch.manual_seed(0)
    save_weights(FusedModel(config).state_dict(), folder)
    write_manifest(folder, "tiny")
    return folder
