"""Every classic tower: shapes, batched equals one by one, and it learns."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol, Self

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import BertConfig, BertModel, ResNetConfig, ResNetModel, ViTConfig, ViTModel

from models.errors import ModelError
from models.towers.audio_cnn import AudioCnn
from models.towers.audio_lstm import AudioLstm
from models.towers.base import Tower
from models.towers.image_cnn import ImageCnn
from models.towers.image_rnn import ImageRnn
from models.towers.image_transformer import ImageTransformer
from models.towers.text_cnn import TextCnn
from models.towers.text_lstm import TextLstm
from models.towers.text_transformer import TextTransformer


class TowerModule(Tower, Protocol):
    """A tower as the module that it is."""

    def eval(self) -> Self: ...

    def train(self) -> Self: ...

    def parameters(self) -> Iterator[nn.Parameter]: ...


Make = Callable[[], TowerModule]


def tiny_bert() -> BertModel:
    config = BertConfig(
        vocab_size=50,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=40,
    )
    return BertModel(config, add_pooling_layer=False)


def resnet() -> ResNetModel:
    return ResNetModel(
        ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic")
    )


TEXT: dict[str, Make] = {
    "cnn": lambda: TextCnn(50, width=8, filters=6),
    "lstm": lambda: TextLstm(50, width=8, hidden=12),
    "transformer": lambda: TextTransformer(tiny_bert()),
}
IMAGE: dict[str, Make] = {
    "cnn": lambda: ImageCnn(dim=12),
    "rows": lambda: ImageRnn(16, hidden=12, dim=10),
    "patches": lambda: ImageRnn(16, steps="patches", hidden=12, dim=10),
    "vit": lambda: ImageTransformer.untrained(16, width=16, layers=1),
    "convolutional": lambda: ImageTransformer(resnet()),
}
AUDIO: dict[str, Make] = {
    "lstm": lambda: AudioLstm(20, hidden=12),
    "cnn": lambda: AudioCnn(20),
}
EVERY = [
    *(pytest.param("text", make, id=f"text-{name}") for name, make in TEXT.items()),
    *(pytest.param("image", make, id=f"image-{name}") for name, make in IMAGE.items()),
    *(pytest.param("audio", make, id=f"audio-{name}") for name, make in AUDIO.items()),
]


def items(modality: str) -> list[Tensor]:
    torch.manual_seed(1)
    if modality == "text":
        return [torch.randint(1, 50, (length,)) for length in (3, 1, 7, 12, 7, 2)]
    if modality == "image":
        return [torch.randint(0, 256, (16, 16, 3), dtype=torch.uint8) for _ in range(6)]
    return [torch.randn(20, frames) for frames in (30, 1, 8, 47, 9, 30)]


@pytest.mark.parametrize(("modality", "make"), EVERY)
@torch.no_grad()
def test_an_item_alone_equals_the_item_in_a_batch(modality: str, make: Make) -> None:
    torch.manual_seed(0)
    tower = make().eval()
    batch = items(modality)
    together = tower.encode(batch)
    assert together.pooled.shape == (6, tower.dim)
    assert len(together.packed) == sum(together.lengths)
    assert torch.equal(together.mask.sum(dim=1), torch.tensor(together.lengths))
    states = torch.split(together.packed, together.lengths)
    for item, pooled, own in zip(batch, together.pooled, states, strict=True):
        alone = tower.encode([item])
        torch.testing.assert_close(alone.pooled[0], pooled, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(alone.packed, own, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("modality", "make"), EVERY)
def test_a_tower_learns_a_handful_by_heart(modality: str, make: Make) -> None:
    torch.manual_seed(0)
    tower = make()
    head = nn.Linear(tower.dim, 3)
    optimiser = torch.optim.Adam([*tower.parameters(), *head.parameters()], 1e-2)
    batch, labels = items(modality), torch.tensor([0, 1, 2, 0, 1, 2])
    for _ in range(24):
        tower.train()
        for _ in range(10):
            optimiser.zero_grad()
            loss = cross_entropy(head(tower.encode(batch).pooled), labels)
            loss.backward()  # type: ignore[no-untyped-call]
            assert all(p.grad is not None for p in tower.parameters())
            optimiser.step()
        tower.eval()
        guess = head(tower.encode(batch).pooled).argmax(dim=1)
        if torch.equal(guess, labels):
            return
    pytest.fail(f"after 240 steps it says {guess.tolist()}")


def test_word_vectors_start_a_tower_and_padding_stays_zero() -> None:
    vectors = torch.randn(10, 5)
    tower = TextCnn(10, vectors=vectors)
    torch.testing.assert_close(tower.words.weight[1:], vectors[1:])
    total = tower.encode([torch.tensor([2, 3]), torch.tensor([4])]).pooled.sum()
    total.backward()  # type: ignore[no-untyped-call]
    assert not tower.words.weight[0].any()
    assert tower.words.weight.grad is not None
    assert not tower.words.weight.grad[0].any()


def test_checkpoints_of_both_kinds_start_a_tower(tmp_path: Path) -> None:
    tiny_bert().save_pretrained(tmp_path / "bert")
    assert TextTransformer.start_from(str(tmp_path / "bert")).dim == 16
    config = ViTConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=32,
        patch_size=16,
    )
    ViTModel(config, add_pooling_layer=False).save_pretrained(tmp_path / "vit")
    (tmp_path / "vit" / "preprocessor_config.json").write_text(
        '{"image_mean": [0.4, 0.4, 0.4], "image_std": [0.2, 0.2, 0.2]}'
    )
    tower = ImageTransformer.start_from(str(tmp_path / "vit")).eval()
    torch.testing.assert_close(tower.mean.flatten(), torch.full((3,), 0.4))
    larger = torch.zeros(64, 64, 3, dtype=torch.uint8)
    assert tower.encode([larger]).pooled.shape == (1, 16)


@pytest.mark.parametrize("kind", [TextTransformer, ImageTransformer])
def test_a_start_that_is_none_is_told_in_words(
    tmp_path: Path, kind: type[TextTransformer | ImageTransformer]
) -> None:
    with pytest.raises(ModelError, match=r"gives no \w+ encoder"):
        kind.start_from(str(tmp_path))
