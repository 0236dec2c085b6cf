"""The processor side of inference: one item in, small arrays out. Imports no torch.

Feeder processes run this; what they make travels to the device process.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tokenizers import Encoding, Tokenizer

from models.errors import ItemError, ReleaseError
from models.labels import EMOTIONS
from models.ngrams import Ngrams
from models.preprocess import audio, image
from models.preprocess.own_words import own_words
from models.preprocess.text import normalise
from models.release import NGRAMS, Config, read_config, verify

IMAGE_COST = 32  # tokens of text that cost as much as one picture, measured on a processor
MARKERS = 2  # tokens that the tokenizer adds to every text: <s> and </s>


@dataclass(frozen=True, slots=True)
class Item:
    """What a post has. Any may be None, all None too. A text without words of its author's own
    (models/preprocess/own_words.py) counts as None.

    `image` is a JPEG or PNG of at most 256 px a side, `audio` FLAC of 16 kHz, mono, at most 15 s.
    """

    text: str | None = None
    image: bytes | None = None
    audio: bytes | None = None


@dataclass(frozen=True, slots=True)
class Prepared:
    """The arrays of one item, ready for the device process. Absent modalities are None.

    `tokens` int32 `(tokens,)`; `pixels` uint8 `(size, size, 3)`; `mel` float16 `(80, frames)`;
    `evidence` float32 `(7,)`: log-odds of the emotions by the n-grams of the text, None where the
    release has none. `truncated`: the text or the sound was longer than the model reads.
    """

    tokens: npt.NDArray[np.int32] | None = None
    pixels: npt.NDArray[np.uint8] | None = None
    mel: npt.NDArray[np.float16] | None = None
    evidence: npt.NDArray[np.float32] | None = None
    truncated: bool = False
    damaged: Mapping[str, str] = field(default_factory=dict)
    """Why parts of the item could not be read, by part: `image`, `audio`."""

    @property
    def blank(self) -> bool:
        """Whether there is nothing to read."""
        return self.tokens is None and self.pixels is None and self.mel is None

    @property
    def cost(self) -> int:
        """About the work of the forward pass, in tokens of text; at least 1."""
        cost = 0 if self.tokens is None else len(self.tokens)
        cost += 0 if self.pixels is None else IMAGE_COST
        # Two frames make one position; the audio layers are twice as wide and half as many.
        cost += 0 if self.mel is None else (self.mel.shape[1] + 1) // 2
        return max(1, cost)


class Preparer:
    """Turns items into arrays as one release wants them.

    A modality that the release does not read counts as not given.
    """

    def __init__(self, tokenizer: Tokenizer, config: Config, ngrams: Ngrams | None = None) -> None:
        tokenizer.enable_truncation(config.text.max_tokens)
        tokenizer.no_padding()
        if tokenizer.get_vocab_size() > config.text.encoder["vocab_size"]:
            raise ReleaseError(
                f"tokenizer.json has {tokenizer.get_vocab_size()} pieces, the model of config.json "
                f"knows {config.text.encoder['vocab_size']}: they do not belong together"
            )
        self._tokenizer = tokenizer
        # What such pieces stand for the model does not know, whatever the text has there.
        self._mute = {id_ for id_, t in tokenizer.get_added_tokens_decoder().items() if t.special}
        self._ngrams = ngrams
        self._image_size = config.image.size if config.image else None
        self._hears = config.audio is not None

    @property
    def reads(self) -> frozenset[str]:
        """The modalities that the release reads, of `image` and `audio`."""
        return frozenset(
            name for name, has in (("image", self._image_size), ("audio", self._hears)) if has
        )

    @classmethod
    def load(cls, release: Path) -> "Preparer":
        """Check and read the tokenizer, the n-grams and the sizes of a release folder.

        Raises ReleaseError where they are missing, altered or do not fit each other.
        """
        verify(release, ("config.json", "tokenizer.json"))
        if read_config(release).text.ngrams:
            verify(release, (NGRAMS,))
        return cls.read(release)

    @classmethod
    def read(cls, folder: Path) -> "Preparer":
        """The same of a folder without a manifest, as an export to ONNX is one."""
        config = read_config(folder)
        ngrams = Ngrams.load(folder, config.text.ngrams) if config.text.ngrams else None
        return cls(read_tokenizer(folder), config, ngrams)

    def prepare(self, items: Sequence[Item]) -> list[Prepared | ItemError]:
        """Prepare every item, in order.

        A part that cannot be read costs the part; where nothing else is left, an ItemError stands
        in the item's place.
        """
        texts = [normalise(item.text) if item.text else "" for item in items]
        encodings = self._tokenizer.encode_batch(texts)
        said = self._ngrams.evidence(texts) if self._ngrams else [None] * len(texts)
        spoken = self._spoken(texts, encodings)
        return [self._one(*parts) for parts in zip(items, encodings, said, spoken, strict=True)]

    def _spoken(self, texts: Sequence[str], encodings: Sequence[Encoding]) -> list[bool]:
        """Whether the model reads a word of each text: of the part that fits, in known pieces."""
        words = [own_words(_read(*pair)) for pair in zip(texts, encodings, strict=True)]
        doubtful = [
            place
            for place, (own, encoding) in enumerate(zip(words, encodings, strict=True))
            if own and not self._mute.isdisjoint(encoding.ids[1:-1])
        ]
        spoken = [bool(own) for own in words]
        alone = self._tokenizer.encode_batch([words[place] for place in doubtful])
        for place, encoding in zip(doubtful, alone, strict=True):
            pieces = zip(encoding.ids, encoding.tokens, strict=True)
            spoken[place] = bool(own_words(" ".join(p for i, p in pieces if i not in self._mute)))
        return spoken

    def _one(
        self,
        item: Item,
        encoding: Encoding,
        evidence: npt.NDArray[np.float32] | None,
        has_text: bool,
    ) -> Prepared | ItemError:
        pixels, mel, cut = None, None, False
        damaged: dict[str, str] = {}
        try:
            if item.image is not None and self._image_size is not None:
                pixels = image.decode(item.image, self._image_size)
        except image.UnreadableImageError as error:
            damaged["image"] = str(error)
        try:
            if item.audio is not None and self._hears:
                samples, cut = audio.decode(item.audio)
                mel = audio.log_mel(audio.trim_silence(samples))
        except audio.UnreadableAudioError as error:
            damaged["audio"] = str(error)
        if damaged and not has_text and pixels is None and mel is None:
            return ItemError("; ".join(damaged.values()))
        return Prepared(
            tokens=np.asarray(encoding.ids, dtype=np.int32) if has_text else None,
            pixels=pixels,
            mel=mel,
            evidence=evidence if has_text else None,
            truncated=cut or bool(encoding.overflowing),
            damaged=damaged,
        )


def _read(text: str, encoding: Encoding) -> str:
    """The part of a text that its pieces cover."""
    return text[: encoding.offsets[-MARKERS][1]] if encoding.overflowing else text


def evidence_of(items: Sequence[Prepared]) -> npt.NDArray[np.float32] | None:
    """What n-grams say of each item, `(items, 7)`; None where they say nothing of any."""
    if all(item.evidence is None for item in items):
        return None
    none = np.zeros(len(EMOTIONS), np.float32)
    return np.stack([none if item.evidence is None else item.evidence for item in items])


def read_tokenizer(release: Path) -> Tokenizer:
    """Read `tokenizer.json`. Raises ReleaseError where it is none."""
    path = release / "tokenizer.json"
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing narrower
        raise ReleaseError(f"{path} is no tokenizer: {error}") from error
