"""Every tower by name: what it reads and how it is built."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from models.classic.posts import Posts
from models.classic.readers import (
    PictureReader,
    Reader,
    SoundReader,
    SubwordReader,
    WordReader,
    learn_vocabulary,
)
from models.labels import Modality
from models.preprocess.audio import BANDS
from models.preprocess.cepstrum import COEFFICIENTS
from models.preprocess.words import Vocabulary, read_vectors
from models.release import AudioConfig
from models.towers.audio import AudioTower
from models.towers.audio import start_from as audio_start
from models.towers.audio_cnn import AudioCnn
from models.towers.audio_lstm import AudioLstm
from models.towers.image import ImageTower
from models.towers.image import start_from as image_start
from models.towers.image_cnn import ImageCnn
from models.towers.image_rnn import ImageRnn
from models.towers.image_transformer import ImageTransformer
from models.towers.text_cnn import TextCnn
from models.towers.text_lstm import TextLstm
from models.towers.text_transformer import TextTransformer, load_tokenizer
from models.training.recipe import RecipeError

Find = Callable[[str], str]  # a starting checkpoint by its name in the recipe
Made = tuple[Reader, nn.Module]


class Wish(Protocol):
    """What a recipe asks of a tower."""

    @property
    def start(self) -> str: ...
    @property
    def vectors(self) -> str: ...
    @property
    def size(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Member:
    """`make` takes the wish, the posts to learn from and where checkpoints lie.

    `half`: trained in bfloat16 where the machine is faster in it.
    """

    modality: Modality
    title: str
    make: Callable[[Wish, Posts, Find], Made]
    half: bool = False


def _text_cnn(wish: Wish, posts: Posts, find: Find) -> Made:
    vocabulary, vectors = _words(wish, posts, find)
    return WordReader(vocabulary), TextCnn(len(vocabulary), vectors=vectors)


def _text_lstm(wish: Wish, posts: Posts, find: Find) -> Made:
    vocabulary, vectors = _words(wish, posts, find)
    return WordReader(vocabulary), TextLstm(len(vocabulary), vectors=vectors)


def _text_transformer(wish: Wish, posts: Posts, find: Find) -> Made:
    start = find(_needed(wish.start, "text-transformer"))
    return SubwordReader(load_tokenizer(start)), TextTransformer.start_from(start)


def _image_cnn(wish: Wish, posts: Posts, find: Find) -> Made:
    return PictureReader(wish.size), ImageCnn()


def _image_imagenet(wish: Wish, posts: Posts, find: Find) -> Made:
    tower = image_start(find(wish.start)) if wish.start else ImageTower()
    return PictureReader(wish.size), tower


def _image_rnn(wish: Wish, posts: Posts, find: Find) -> Made:
    return PictureReader(wish.size), ImageRnn(wish.size)


def _image_rnn_patches(wish: Wish, posts: Posts, find: Find) -> Made:
    return PictureReader(wish.size), ImageRnn(wish.size, steps="patches")


def _image_transformer(wish: Wish, posts: Posts, find: Find) -> Made:
    if wish.start:
        return PictureReader(wish.size), ImageTransformer.start_from(find(wish.start))
    return PictureReader(wish.size), ImageTransformer.untrained(wish.size)


def _audio_lstm(wish: Wish, posts: Posts, find: Find) -> Made:
    return SoundReader(cepstrum=True), AudioLstm(COEFFICIENTS)


def _audio_lstm_mel(wish: Wish, posts: Posts, find: Find) -> Made:
    return SoundReader(), AudioLstm(BANDS)


def _audio_cnn(wish: Wish, posts: Posts, find: Find) -> Made:
    return SoundReader(), AudioCnn(BANDS)


def _audio_transformer(wish: Wish, posts: Posts, find: Find) -> Made:
    config = AudioConfig()
    if not wish.start:
        return SoundReader(), AudioTower(config)
    tower = audio_start(find(wish.start), config)
    for frozen in (tower.conv1, tower.conv2):
        frozen.requires_grad_(False)
    return SoundReader(), tower


FAMILY: dict[str, Member] = {
    "text-cnn": Member("text", "text CNN, filters of 3, 4, 5 words", _text_cnn),
    "text-lstm": Member("text", "text LSTM, two layers of 128", _text_lstm),
    "text-transformer": Member(
        "text", "text transformer, pretrained", _text_transformer, half=True
    ),
    "image-cnn": Member("image", "image CNN, 32 filters", _image_cnn),
    "image-imagenet": Member("image", "image CNN, EfficientNet-Lite0", _image_imagenet),
    "image-rnn": Member("image", "image GRU over rows", _image_rnn),
    "image-rnn-patches": Member("image", "image GRU over patches", _image_rnn_patches),
    "image-transformer": Member("image", "image transformer, ViT", _image_transformer, half=True),
    "audio-lstm": Member("audio", "audio LSTM of 128 over MFCC", _audio_lstm),
    "audio-lstm-mel": Member("audio", "audio LSTM of 128 over log-mel", _audio_lstm_mel),
    "audio-cnn": Member("audio", "audio CNN over log-mel", _audio_cnn),
    "audio-transformer": Member(
        "audio", "speech transformer, Whisper's", _audio_transformer, half=True
    ),
}


def _needed(start: str, name: str) -> str:
    if not start:
        raise RecipeError(f"the tower {name} needs `start`, the folder or hub name of an encoder")
    return start


def _words(wish: Wish, posts: Posts, find: Find) -> tuple[Vocabulary, Tensor | None]:
    """The vocabulary of the posts, with vectors from a file where the recipe names one."""
    vocabulary = learn_vocabulary(posts.texts)
    if not wish.vectors:
        return vocabulary, None
    table, _ = read_vectors(Path(find(wish.vectors)), vocabulary)
    return vocabulary, torch.from_numpy(table)
