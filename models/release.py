"""A release: the folder that holds one trained model. Read only what its manifest vouches for.

config.json         shapes of the towers and the fusion, temperatures, thresholds
model.safetensors   the weights, half precision; its header names the tokenizer they belong to
tokenizer.json      of the text tower
ngrams.safetensors  of the linear model beside it, where config.json has one
manifest.json       name, label map, and the sha256 of every other file
card.md             data, licences, scores, limits

Nothing here is executed: no pickle, no code from the folder, and no size is believed before the
header of the weights confirms it (`models/weights.py`).
"""

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from safetensors import safe_open

from models.errors import ReleaseError
from models.labels import EMOTIONS, MODALITIES, POLARITIES, Modality

DEFAULT_RELEASE: Final = Path(__file__).parent / "releases" / "fused-joint"
WEIGHTS: Final = "model.safetensors"
NGRAMS: Final = "ngrams.safetensors"
FORMAT: Final = 1
JSON_BYTES: Final = 4 << 20  # the most that a config or a manifest may have
VOUCHED: Final = {".json", ".md", ".safetensors", ".txt"}  # what a manifest may name
PICKLED: Final = {".bin", ".ckpt", ".pkl", ".pt", ".pth"}
MODEL_TYPE: Final = "weathervane"  # in a config that `transformers` reads
# The most of each field of the text encoder: far above any that is trained, far below a memory.
ENCODER_LIMITS: Final = {
    "vocab_size": 1 << 21,
    "hidden_size": 8192,
    "num_attention_heads": 128,
    "intermediate_size": 1 << 15,
    "max_position_embeddings": 1 << 15,
    "type_vocab_size": 16,
    "num_hidden_layers": 64,
}
Width = Annotated[int, msgspec.Meta(ge=1, le=8192)]
Few = Annotated[int, msgspec.Meta(ge=1, le=128)]
Many = Annotated[int, msgspec.Meta(ge=1, le=1 << 15)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Divisor = Annotated[float, msgspec.Meta(gt=0, le=1000)]
Offset = Annotated[float, msgspec.Meta(ge=-100, le=100)]
Bias = tuple[Offset, Offset, Offset, Offset, Offset, Offset, Offset]
Use = Literal["research", "commercial"]
Read = TypeVar("Read")


class NgramConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`bits` of the hash of a character n-gram, `longest`: its most characters."""

    bits: Annotated[int, msgspec.Meta(ge=1, le=22)] = 17
    longest: Annotated[int, msgspec.Meta(ge=1, le=8)] = 4


class TextConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`encoder`: fields of a `BertConfig`; `max_tokens`: longer texts are cut; `ngrams`: of a
    linear model beside it, where there is one."""

    encoder: dict[str, Any]
    max_tokens: Many = 128
    ngrams: NgramConfig | None = None


class ImageConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`size`: side of the square that the tower reads, in pixels."""

    size: Annotated[int, msgspec.Meta(ge=32, le=1024)] = 128


class AudioConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Shape of the Whisper layers kept; `positions` of 20 ms each."""

    width: Width = 512
    heads: Few = 8
    ffn: Many = 2048
    layers: Few = 2
    positions: Many = 750


class FusionConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Shape of the transformer that joins the modalities."""

    width: Width = 256
    heads: Few = 4
    layers: Few = 2
    dropout: Share = 0.1


class Temperature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Divisors of the emotion and polarity logits for one subset of modalities.

    `bias`: what is then added to the logit of each emotion, in the order of `EMOTIONS`.
    """

    emotions: Divisor = 1.0
    polarity: Divisor = 1.0
    bias: Bias = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


class Calibration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is chosen after training, on rows held out of the train splits.

    `temperatures` by subset, written like "text+image"; `evidence`: divisor of the emotion logits
    that evidence of n-grams was added to, before the temperature; `thresholds` by emotion: a label
    passes at or above its own; `abstain_below`: the confidence under which the model declines.
    """

    temperatures: dict[str, Temperature] = {}
    evidence: Divisor = 1.0
    thresholds: dict[str, Share] = {}
    abstain_below: Share = 0.0


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that the weights need beside themselves.

    Without `image` or `audio` the model has no such tower, and does not read that modality.
    """

    text: TextConfig
    image: ImageConfig | None = None
    audio: AudioConfig | None = None
    fusion: FusionConfig = FusionConfig()
    calibration: Calibration = Calibration()

    @property
    def modalities(self) -> tuple[Modality, ...]:
        """Those that the model reads, in the order of `MODALITIES`."""
        return tuple(name for name in MODALITIES if getattr(self, name) is not None)


class HubConfig(Config, frozen=True, forbid_unknown_fields=False):
    """The same as `transformers` writes it, among fields of its own."""


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Name of the model, its label map, the modalities that it reads, in the order of
    `MODALITIES`, and the sha256 of each file of the folder. `use`: "commercial" where every set
    that the weights learnt from is licensed for it."""

    name: str
    format: int
    emotions: tuple[str, ...]
    polarities: tuple[str, ...]
    modalities: tuple[str, ...]
    sha256: dict[str, str]
    use: Use = "research"


class _Peek(msgspec.Struct):
    """What tells a file's kind before its fields are read."""

    format: int = FORMAT
    model_type: str | None = None


def subset_key(modalities: tuple[str, ...]) -> str:
    """Name of a subset of modalities, in the order of `MODALITIES`: "text+audio", "" for none."""
    return "+".join(name for name in MODALITIES if name in modalities)


def read_config(release: Path) -> Config:
    """Read `config.json`, ours or as exported for `transformers`.

    Raises ReleaseError where it is missing, not of this format, or asks for a model that cannot be.
    """
    path = release / "config.json"
    kind = _read(path, _Peek).model_type
    if kind not in (None, MODEL_TYPE):
        raise ReleaseError(
            f"{path} describes a model of the type {kind}, not a Weathervane release"
        )
    found = _read(path, HubConfig if kind else Config)
    config = Config(*(getattr(found, field) for field in Config.__struct_fields__))
    if fault := _fault(config):
        raise ReleaseError(f"{path}: {fault}")
    return config


def read_manifest(release: Path) -> Manifest:
    """Read `manifest.json` and check what it claims, without looking at the files that it names.

    Raises ReleaseError: it is missing, of another format or label map, or vouches for too little
    or for what is never read.
    """
    path = release / "manifest.json"
    later = _read(path, _Peek).format
    if later > FORMAT:
        raise ReleaseError(
            f"{path}: a release of format {later}; this program reads format {FORMAT}: upgrade it, "
            "or use a release made for it"
        )
    manifest = _read(path, Manifest)
    if (manifest.format, manifest.emotions, manifest.polarities) != (FORMAT, EMOTIONS, POLARITIES):
        raise ReleaseError(
            f"{path}: made for another version of this program (format {manifest.format}, labels "
            f"{', '.join(manifest.emotions + manifest.polarities)}); "
            "use the release that came with it"
        )
    for name in manifest.sha256:
        if Path(name).name != name:
            raise ReleaseError(f"{path} names a file outside its folder")
        if Path(name).suffix not in VOUCHED:
            raise ReleaseError(
                f"{path} names {name}: a release holds {', '.join(sorted(VOUCHED))} only; pickled "
                "weights can run code and are never read"
            )
    for required in ("config.json", WEIGHTS, "tokenizer.json"):
        if required not in manifest.sha256:
            raise ReleaseError(f"{path} does not vouch for {required}")
    return manifest


def verify(release: Path, only: Sequence[str] = ()) -> Manifest:
    """Check the label map, the modalities and the sha256 of every file, or of those in `only`.

    Raises ReleaseError naming the first file that is missing or altered.
    """
    refuse_pickles(release)
    manifest = read_manifest(release)
    for name in only or manifest.sha256:
        path = release / name
        if not path.is_file():
            raise ReleaseError(f"{path} is missing; fetch the whole release folder again")
        if file_hash(path) != manifest.sha256[name]:
            raise ReleaseError(
                f"{path} does not match its sha256 in manifest.json: it was altered or only "
                "partly fetched; fetch the release folder again"
            )
    config = read_config(release)
    if config.text.ngrams and NGRAMS not in manifest.sha256:
        raise ReleaseError(f"{release / 'manifest.json'} does not vouch for {NGRAMS}")
    if config.modalities != manifest.modalities:
        raise ReleaseError(
            f"{release}: manifest.json promises {', '.join(manifest.modalities)}, config.json has "
            f"towers for {', '.join(config.modalities)}; fetch the release folder again"
        )
    return manifest


def parameters(release: Path) -> int:
    """How many numbers its weights are, those of the n-grams among them."""
    count = 0
    for path in (release / WEIGHTS, release / NGRAMS):
        if path.is_file():
            with safe_open(path, framework="np") as file:
                shapes = [file.get_slice(name).get_shape() for name in file.keys()]  # noqa: SIM118
            count += sum(math.prod(shape) for shape in shapes)
    return count


def full_name(manifest: Manifest, config: Config) -> str:
    """The name with 12 digits that stand for everything that decides an answer, such as
    `fused-joint@0123456789ab`: the config, however it is written, and the other files."""
    sums = [manifest.sha256.get(name, "") for name in (WEIGHTS, NGRAMS, "tokenizer.json")]
    deciding = msgspec.json.encode((config, sums), order="sorted")
    return f"{manifest.name}@{hashlib.sha256(deciding).hexdigest()[:12]}"


def refuse_pickles(release: Path) -> None:
    """Raise ReleaseError where a folder has pickled weights and no safetensors."""
    if release.is_dir() and not (release / WEIGHTS).exists():
        for path in sorted(release.iterdir()):
            if path.suffix in PICKLED:
                raise ReleaseError(
                    f"{path} holds pickled weights, which can run code: only {WEIGHTS} is read"
                )


def write_manifest(release: Path, name: str, use: Use = "research") -> None:
    """Vouch for every file that now lies in the folder."""
    hashes = {
        path.name: file_hash(path)
        for path in sorted(release.iterdir())
        if path.is_file() and path.name != "manifest.json"
    }
    modalities = read_config(release).modalities
    manifest = Manifest(name, FORMAT, EMOTIONS, POLARITIES, modalities, hashes, use)
    write_json(release / "manifest.json", manifest)


def write_json(path: Path, value: object) -> None:
    """Write any msgspec value as indented JSON."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n")


def file_hash(path: Path) -> str:
    """Hexadecimal sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fault(config: Config) -> str | None:
    """What is wrong with the shape, if anything; the single fields are checked already."""
    encoder = config.text.encoder
    for field, most in ENCODER_LIMITS.items():
        value = encoder.get(field)
        if type(value) is not int or not 1 <= value <= most:
            return f"text.encoder.{field} must be a whole number from 1 to {most}, not {value!r}"
    if config.text.max_tokens > encoder["max_position_embeddings"]:
        return "text.max_tokens is more than text.encoder.max_position_embeddings"
    if not 0 <= encoder.get("pad_token_id", 0) < encoder["vocab_size"]:
        return "text.encoder.pad_token_id is not in the vocabulary"
    split = [("text", encoder["hidden_size"], encoder["num_attention_heads"])]
    split += [("fusion", config.fusion.width, config.fusion.heads)]
    split += [("audio", config.audio.width, config.audio.heads)] if config.audio else []
    for part, width, heads in split:
        if width % heads:
            return f"the width of {part}, {width}, does not divide by its {heads} heads"
    if unknown := set(config.calibration.thresholds) - set(EMOTIONS):
        return f"calibration.thresholds names {', '.join(sorted(unknown))}, which is no emotion"
    return None


def _read(path: Path, kind: type[Read]) -> Read:
    try:
        with path.open("rb") as file:
            data = file.read(JSON_BYTES + 1)
        if len(data) > JSON_BYTES:
            raise ReleaseError(f"{path} is larger than {JSON_BYTES >> 20} MiB")
        return msgspec.json.decode(data, type=kind)
    except OSError as error:
        raise ReleaseError(
            f"{path} cannot be read ({error.strerror}); a release is a folder that "
            "`weathervane train` wrote, or the one that came with the program"
        ) from error
    except msgspec.DecodeError as error:
        raise ReleaseError(f"{path}: {error}") from error
