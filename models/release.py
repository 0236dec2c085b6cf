"""A release: the folder that holds one trained model. Read only what its manifest vouches for.

config.json         shapes of the towers and the fusion, temperatures, thresholds
model.safetensors   the weights, half precision
tokenizer.json      of the text tower
manifest.json       name, label map, and the sha256 of every other file
card.md             data, licences, scores, limits
"""

import hashlib
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from models.errors import ReleaseError
from models.labels import EMOTIONS, MODALITIES, POLARITIES, Modality

DEFAULT_RELEASE: Final = Path(__file__).parent / "releases" / "fused-joint"
WEIGHTS: Final = "model.safetensors"
FORMAT: Final = 1
Read = TypeVar("Read")


class TextConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`encoder`: fields of a `BertConfig`; `max_tokens`: longer texts are cut."""

    encoder: dict[str, Any]
    max_tokens: int = 128


class ImageConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`size`: side of the square that the tower reads, in pixels."""

    size: int = 128


class AudioConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Shape of the Whisper layers kept; `positions` of 20 ms each."""

    width: int = 512
    heads: int = 8
    ffn: int = 2048
    layers: int = 2
    positions: int = 750


class FusionConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Shape of the transformer that joins the modalities."""

    width: int = 256
    heads: int = 4
    layers: int = 2
    dropout: float = 0.1


class Temperature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Divisors of the emotion and polarity logits for one subset of modalities."""

    emotions: float = 1.0
    polarity: float = 1.0


class Calibration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is chosen after training, on rows held out of the train splits.

    `temperatures` by subset, written like "text+image"; `thresholds` by emotion: a label passes
    at or above its own; `abstain_below`: the confidence under which the model declines.
    """

    temperatures: dict[str, Temperature] = {}
    thresholds: dict[str, float] = {}
    abstain_below: float = 0.0


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


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Name of the model, its label map, the modalities that it reads, in the order of
    `MODALITIES`, and the sha256 of each file of the folder."""

    name: str
    format: int
    emotions: tuple[str, ...]
    polarities: tuple[str, ...]
    modalities: tuple[str, ...]
    sha256: dict[str, str]


def subset_key(modalities: tuple[str, ...]) -> str:
    """Name of a subset of modalities, in the order of `MODALITIES`: "text+audio", "" for none."""
    return "+".join(name for name in MODALITIES if name in modalities)


def read_config(release: Path) -> Config:
    """Read `config.json`. Raises ReleaseError where it is missing or not of this format."""
    return _read(release, "config.json", Config)


def verify(release: Path) -> Manifest:
    """Check the label map and the sha256 of every file against the manifest.

    Raises ReleaseError naming the first file that is missing or altered.
    """
    manifest = _read(release, "manifest.json", Manifest)
    found = (manifest.format, manifest.emotions, manifest.polarities)
    if found != (FORMAT, EMOTIONS, POLARITIES):
        raise ReleaseError(
            f"{release / 'manifest.json'}: made for another version of this program "
            f"(format {manifest.format}, labels {', '.join(manifest.emotions)}); "
            "use the release that came with it"
        )
    for required in ("config.json", WEIGHTS, "tokenizer.json"):
        if required not in manifest.sha256:
            raise ReleaseError(f"{release / 'manifest.json'} does not vouch for {required}")
    for name, expected in manifest.sha256.items():
        path = release / name
        if Path(name).name != name:
            raise ReleaseError(f"{release / 'manifest.json'} names a file outside its folder")
        if not path.is_file():
            raise ReleaseError(f"{path} is missing; fetch the whole release folder again")
        if file_hash(path) != expected:
            raise ReleaseError(
                f"{path} does not match its sha256 in manifest.json: it was altered or only "
                "partly fetched; fetch the release folder again"
            )
    config = read_config(release)
    if config.modalities != manifest.modalities:
        raise ReleaseError(
            f"{release}: manifest.json promises {', '.join(manifest.modalities)}, config.json has "
            f"towers for {', '.join(config.modalities)}; fetch the release folder again"
        )
    return manifest


def write_manifest(release: Path, name: str) -> None:
    """Vouch for every file that now lies in the folder."""
    hashes = {
        path.name: file_hash(path)
        for path in sorted(release.iterdir())
        if path.is_file() and path.name != "manifest.json"
    }
    modalities = read_config(release).modalities
    manifest = Manifest(name, FORMAT, EMOTIONS, POLARITIES, modalities, hashes)
    write_json(release / "manifest.json", manifest)


def write_json(path: Path, value: object) -> None:
    """Write any msgspec value as indented JSON."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n")


def file_hash(path: Path) -> str:
    """Hexadecimal sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(release: Path, name: str, kind: type[Read]) -> Read:
    path = release / name
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except OSError as error:
        raise ReleaseError(
            f"{path} cannot be read ({error.strerror}); a release is a folder that "
            "`weathervane train` wrote, or the one that came with the program"
        ) from error
    except msgspec.DecodeError as error:
        raise ReleaseError(f"{path}: {error}") from error
