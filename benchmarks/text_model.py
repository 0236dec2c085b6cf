"""Score the demo posts' words: the packed predictor against `transformers` on the same weights.

The peer runs the text encoder only, as its documentation shows: one text at a time, and in batches
of 32 in order of arrival, padded. Ours tokenises, normalises, runs the encoder and the fusion, and
builds the predictions.
"""

from __future__ import annotations

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from benchmarks.harness import compare, report
from models.device import fastest_dtype
from models.predictor import Predictor
from models.prepare import Item, Prepared, Preparer
from models.release import DEFAULT_RELEASE, WEIGHTS, read_config
from workers.demo_posts.stored import read

POSTS = 512
BATCH = 32
ROUNDS = 3


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    texts = [post.text for post in read() if post.text][:POSTS]
    predictor, preparer = Predictor.load(DEFAULT_RELEASE, "cpu"), Preparer.load(DEFAULT_RELEASE)
    encoder, tokenizer = reference()
    half = encoder_in(fastest_dtype(torch.device("cpu")))

    def ours() -> int:
        prepared = preparer.prepare([Item(text) for text in texts])
        return len(predictor.predict([item for item in prepared if isinstance(item, Prepared)]))

    def peer(model: BertModel, size: int) -> int:
        with torch.inference_mode():
            for start in range(0, len(texts), size):
                batch = texts[start : start + size]
                inputs = tokenizer(
                    batch, padding=True, truncation=True, max_length=128, return_tensors="pt"
                )
                model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"])
        return len(texts)

    name = f"packed, {str(predictor.dtype).removeprefix('torch.')}"
    results = compare(
        {
            name: ours,
            "transformers one by one, float32": lambda: peer(encoder, 1),
            "transformers padded batches of 32, float32": lambda: peer(encoder, BATCH),
            f"transformers padded batches of 32, {half.dtype}": lambda: peer(half, BATCH),
        },
        ROUNDS,
    )
    report("text_model", "posts", results, name)


def encoder_in(dtype: torch.dtype) -> BertModel:
    """The released text encoder as `transformers` runs it."""
    fields = read_config(DEFAULT_RELEASE).text.encoder
    model = BertModel(BertConfig(**fields), add_pooling_layer=False).eval()
    prefix = "text.encoder."
    weights = load_file(DEFAULT_RELEASE / WEIGHTS)
    own = {key.removeprefix(prefix): value for key, value in weights.items() if prefix in key}
    model.load_state_dict(own)
    return model.to(dtype)


def reference() -> tuple[BertModel, PreTrainedTokenizerFast]:
    """That encoder in float32, and its tokenizer."""
    tokenizer = Tokenizer.from_file(str(DEFAULT_RELEASE / "tokenizer.json"))
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>")  # noqa: S106
    return encoder_in(torch.float32), fast


if __name__ == "__main__":
    main()
