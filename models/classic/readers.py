"""From posts to the arrays that a tower reads: once before training, varied at each step of it."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer
from torch import Tensor

from models.classic.posts import Posts
from models.corpora import DataError
from models.preprocess import audio, image
from models.preprocess.augment import margin, mask_spectrogram, vary_picture
from models.preprocess.cepstrum import mfcc
from models.preprocess.text import normalise
from models.preprocess.words import Vocabulary, words_of

LONGEST = 64  # words of a text
Array = npt.NDArray[Any]
Random = np.random.Generator | None


class Reader(Protocol):
    """One tower's way of reading its modality. Readers of one `key` read the same arrays."""

    @property
    def key(self) -> str: ...

    def read(self, posts: Posts) -> list[Array | None]:
        """An array a post, None where it lacks the modality. Raises DataError for bad media."""
        ...

    def tensor(self, array: Array, random: Random) -> Tensor:
        """What the tower is given: varied where there is a `random`, for training; else as is."""
        ...


class WordReader:
    """Ids of whole words."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self.key = f"words {id(vocabulary)}"

    def read(self, posts: Posts) -> list[Array | None]:
        """Word ids `(words,)` a text."""
        return [
            None if text is None else self.vocabulary.ids(words_of(text), LONGEST)
            for text in posts.texts
        ]

    def tensor(self, array: Array, random: Random) -> Tensor:
        """The ids; nothing is varied."""
        return torch.from_numpy(array)


class SubwordReader:
    """Token ids of a transformer."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self.key = f"subwords {id(tokenizer)}"

    def read(self, posts: Posts) -> list[Array | None]:
        """Token ids `(tokens,)` a text, markers included."""
        codes = self._tokenizer.encode_batch([normalise(text or "") for text in posts.texts])
        return [
            None if text is None else np.array(code.ids, np.int64)
            for text, code in zip(posts.texts, codes, strict=True)
        ]

    def tensor(self, array: Array, random: Random) -> Tensor:
        """The ids; nothing is varied."""
        return torch.from_numpy(array)


class PictureReader:
    """Pixels `(size, size, 3)`, cropped, mirrored and relit at random in training."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.key = f"pixels {size}"

    def read(self, posts: Posts) -> list[Array | None]:
        """Pixels with a margin for the crop, an eighth more a side."""
        return [
            None if data is None else _decode(data, self.size + margin(self.size), index)
            for index, data in enumerate(posts.images)
        ]

    def tensor(self, array: Array, random: Random) -> Tensor:
        """A random crop of the picture, varied, or its middle."""
        if random is not None:
            return torch.from_numpy(vary_picture(array, self.size, random))
        first = margin(self.size) // 2
        last = first + self.size
        return torch.from_numpy(array[first:last, first:last].copy())


class SoundReader:
    """Log-mel spectrograms `(80, frames)` or MFCC `(20, frames)`, with SpecAugment in training."""

    def __init__(self, cepstrum: bool = False) -> None:
        self._cepstrum = cepstrum
        self.key = "mel"

    def read(self, posts: Posts) -> list[Array | None]:
        """Log-mel spectrograms of the sounds without the silence around them."""
        return [
            None if data is None else _spectrogram(data, index)
            for index, data in enumerate(posts.audios)
        ]

    def tensor(self, array: Array, random: Random) -> Tensor:
        """With random bands and spans masked in training; MFCC are taken after that."""
        mel = array if random is None else mask_spectrogram(array, random)
        return torch.from_numpy(mfcc(mel) if self._cepstrum else mel.astype(np.float32))


def learn_vocabulary(texts: Sequence[str | None]) -> Vocabulary:
    """The words of the texts that are learnt from; those of few posts all count."""
    least = 2 if len(texts) >= 200 else 1
    return Vocabulary.learn((words_of(text) for text in texts if text), least)


def _decode(data: bytes, size: int, index: int) -> Array:
    try:
        return image.decode(data, size)
    except image.UnreadableImageError as error:
        raise DataError(f"the picture of post {index + 1}: {error}; use JPEG or PNG") from error


def _spectrogram(data: bytes, index: int) -> Array:
    try:
        return audio.log_mel(audio.trim_silence(audio.decode(data)[0]))
    except audio.UnreadableAudioError as error:
        raise DataError(f"the sound of post {index + 1}: {error}") from error
