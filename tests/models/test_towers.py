"""Packed inference must say what padded inference says."""

import numpy as np
import pytest
import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import BertConfig, BertModel, WhisperConfig
from transformers.models.whisper.modeling_whisper import WhisperEncoderLayer

from models.release import AudioConfig
from models.towers.audio import AudioTower
from models.towers.base import segment_means
from models.towers.image import ImageTower
from models.towers.layers import WhisperLayer, packed_attention
from models.towers.sizes import filler
from models.towers.text import TextTower

TINY = {
    "vocab_size": 100,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 64,
    "layer_norm_eps": 1e-12,
    "type_vocab_size": 2,
    "pad_token_id": 0,
}


@torch.no_grad()
def test_packed_text_equals_padded_transformers() -> None:
    torch.manual_seed(0)
    tower = TextTower(TINY).eval()
    plain = BertModel(BertConfig(**TINY), add_pooling_layer=False).eval()
    plain.load_state_dict(tower.encoder.state_dict())
    ids = [torch.randint(1, 100, (length,)) for length in (3, 3, 7, 5, 7, 1)]
    padded = pad_sequence(ids, batch_first=True)
    mask = pad_sequence([torch.ones(len(i)) for i in ids], batch_first=True)
    states = plain(input_ids=padded, attention_mask=mask).last_hidden_state
    means = (states * mask[..., None]).sum(dim=1) / mask.sum(dim=1, keepdim=True)
    output = tower.encode(ids)
    torch.testing.assert_close(output.pooled, means, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(output.mask, mask.bool())
    torch.testing.assert_close(output.tokens, states * mask[..., None], atol=1e-5, rtol=1e-4)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_packed_attention_on_a_gpu_equals_that_on_a_processor() -> None:
    torch.manual_seed(0)
    lengths = [3, 7, 7, 20, 128]
    states = [torch.randn(sum(lengths), 384, requires_grad=True) for _ in range(3)]
    halves = [part.detach().cuda().bfloat16().requires_grad_() for part in states]
    direction = torch.randn(sum(lengths), 384)
    mixed = []
    for query, key, value in (states, halves):
        mixed.append(packed_attention(query, key, value, 12, lengths))
        mixed[-1].backward(direction.to(mixed[-1]))  # type: ignore[no-untyped-call]
    torch.testing.assert_close(mixed[1].float().cpu(), mixed[0], atol=0.03, rtol=0)
    for part, half in zip(states, halves, strict=True):
        assert part.grad is not None
        assert half.grad is not None
        off = (half.grad.float().cpu() - part.grad).norm() / part.grad.norm()
        assert off < 0.01


@torch.no_grad()
def test_a_whisper_layer_equals_that_of_transformers() -> None:
    torch.manual_seed(0)
    config = WhisperConfig(d_model=32, encoder_attention_heads=4, encoder_ffn_dim=64)
    plain = WhisperEncoderLayer(config).eval()
    layer = WhisperLayer(32, heads=4, ffn=64).eval()
    layer.load_state_dict(plain.state_dict())
    states = torch.randn(7, 32)
    expected = plain(states[None], None)
    expected = expected[0] if isinstance(expected, tuple) else expected
    torch.testing.assert_close(layer(states, [7])[None], expected, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_a_clip_alone_equals_the_clip_in_a_batch() -> None:
    torch.manual_seed(0)
    tower = AudioTower(AudioConfig(width=32, heads=4, ffn=64, layers=2, positions=50)).eval()
    clips = [torch.randn(80, frames) for frames in (30, 31, 30, 90, 1, 400)]
    together = tower.encode(clips)
    assert together.pooled.shape == (6, tower.dim)
    assert together.lengths == [15, 16, 15, 45, 1, 50]
    for clip, pooled in zip(clips, together.pooled, strict=True):
        torch.testing.assert_close(tower.encode([clip]).pooled[0], pooled, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_a_picture_alone_equals_the_picture_in_a_batch() -> None:
    torch.manual_seed(0)
    tower = ImageTower().eval()
    pixels = [torch.randint(0, 256, (64, 64, 3), dtype=torch.uint8) for _ in range(3)]
    together = tower.encode(pixels)
    assert together.pooled.shape == (3, tower.dim)
    assert together.tokens.shape == (3, 4, tower.dim)
    for picture, pooled in zip(pixels, together.pooled, strict=True):
        torch.testing.assert_close(tower.encode([picture]).pooled[0], pooled, atol=1e-4, rtol=1e-3)


def test_batch_norms_keep_their_statistics_in_training() -> None:
    tower = ImageTower().train()
    assert tower.stem.norm.running_mean is not None
    before = tower.stem.norm.running_mean.clone()
    tower.encode([torch.full((32, 32, 3), 200, dtype=torch.uint8)])
    torch.testing.assert_close(tower.stem.norm.running_mean, before)


def test_segments_must_fill_the_row() -> None:
    row = torch.zeros(5, 8)
    for lengths, held in (([2, 2], 4), ([3, 3], 6)):
        with pytest.raises(ValueError, match=f"the segments hold {held} positions, the row 5"):
            packed_attention(row, row, row, heads=2, lengths=lengths)


def test_segment_means() -> None:
    packed = torch.arange(10.0).reshape(5, 2)
    expected = np.array([[1.0, 2.0], [6.0, 7.0]])
    np.testing.assert_allclose(segment_means(packed, [2, 3]).numpy(), expected)


def test_sizes_are_few_and_a_quarter_larger_at_most() -> None:
    for least, most, count in ((32, 2048, 20), (1, 64, 20)):
        filled = {size: size + filler(size, least) for size in range(1, most + 1)}
        assert len(set(filled.values())) == count
        assert all(size <= full < max(1.25 * size, size + least) for size, full in filled.items())


@torch.inference_mode()
def test_texts_of_many_lengths_are_computed_in_few_sizes() -> None:
    tower = TextTower(TINY).eval()
    sizes: set[int] = set()
    dense = tower.get_submodule("encoder.encoder.layer.0.intermediate.dense")
    dense.register_forward_hook(lambda module, given, out: sizes.add(len(given[0])))
    for length in range(1, 60):
        tower.encode([torch.ones(length, dtype=torch.long)] * 3)
    assert sizes == {32, 64, 96, 128, 160, 192}


@torch.no_grad()
def test_filler_changes_no_sound_and_no_picture() -> None:
    torch.manual_seed(0)
    audio = AudioTower(AudioConfig(width=32, heads=4, ffn=64, layers=1, positions=50))
    clips = [torch.randn(80, frames) for frames in (9, 40, 33, 101)]
    pictures = list(torch.randint(0, 256, (9, 32, 32, 3), dtype=torch.uint8))
    for tower, batch in ((audio, clips), (ImageTower(), pictures)):
        plain = tower.train().encode(batch)  # nothing is filled in training
        filled = tower.eval().encode(batch)
        assert filled.lengths == plain.lengths
        torch.testing.assert_close(filled.pooled, plain.pooled, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(filled.packed, plain.packed, atol=1e-5, rtol=1e-4)
