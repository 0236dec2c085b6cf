"""The recipe of a training run: what is trained on what, in one TOML file."""

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from models.errors import ModelError
from models.release import FusionConfig, NgramConfig


class RecipeError(ModelError):
    """A recipe cannot be read, or names data or a checkpoint that is not there."""


class Corpus(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One folder of the data. `rows`: a random choice of so many, 0 for all; `repeat`: times an
    epoch; `weight` multiplies its loss; `held_out`: its share of rows kept for calibration, where
    the recipe's does not do (few groups, say)."""

    name: str
    rows: int = 0
    repeat: int = 1
    weight: float = 1.0
    held_out: float | None = None


class Fit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How one stage is optimised. `rate`: peak learning rate of the new layers' neighbours;
    `head_rate`: of layers that start untrained; `layer_decay`: factor a layer downwards; `thaw`:
    share of the steps over which layers thaw one after another, from the head down, 0 for all at
    once (Howard & Ruder 2018); `patience`: stop after so many epochs that did not lower the loss
    on held-out rows, 0 for never (towers only)."""

    epochs: float = 1.0
    rate: float = 1e-4
    head_rate: float = 1e-3
    layer_decay: float = 1.0
    weight_decay: float = 0.01
    warmup: float = 0.06
    average: float = 0.999
    thaw: float = 0.0
    patience: int = 0


class Teacher(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A finished `release` (a folder, one beside the run's, or a shipped name) whose answers to the
    texts of these `corpora` are learnt beside their labels."""

    release: str
    corpora: list[str]


class Reading(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Texts, of the train splits of these `corpora`, on which the tower guesses masked tokens
    before it learns any label."""

    corpora: list[str]
    tokens_per_batch: int = 8192
    fit: Fit = Fit(epochs=4.0, rate=5e-4, average=0.99)


class NgramRecipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A linear model of the character n-grams of Chinese texts beside the tower. `strength`: the
    inverse of the regularisation, as scikit-learn's C."""

    corpora: list[Corpus]
    shape: NgramConfig = NgramConfig()
    strength: Annotated[float, msgspec.Meta(gt=0)] = 4.0


class TextRecipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`start`: folder or hub name of a BERT-shaped checkpoint; `layers`: which of its layers;
    `tower`: a file with a whole tower of that shape, to go on from; `average`: finished runs beside
    this one whose text towers' mean is this tower, instead of training (Wortsman et al. 2022,
    arXiv:2203.05482); `reading`: what comes before the labels; `auxiliary`: corpora whose own,
    finer labels are learnt as well, by a head that is thrown away; `exclusive`: weight of the
    cross-entropy over rows with one label; `taught`: weight of what `teachers` say, the labels have
    the rest; `ngrams`: what stands beside the tower."""

    start: str
    layers: list[int]
    corpora: list[Corpus]
    tower: str = ""
    average: list[str] = []
    reading: Reading | None = None
    auxiliary: list[str] = []
    teachers: list[Teacher] = []
    ngrams: NgramRecipe | None = None
    taught: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.7
    exclusive: float = 0.0
    max_tokens: int = 128
    tokens_per_batch: int = 1536
    fit: Fit = Fit()

    @property
    def before(self) -> list[str]:
        """Names of the runs beside this one that come first, in their order: of teachers those
        whose release is called NAME/release; a shipped release or a folder elsewhere is no run."""
        places = [Path(teacher.release) for teacher in self.teachers]
        taught = [p.parts[0] for p in places if len(p.parts) == 2 and p.name == "release"]
        return [*dict.fromkeys([*taught, *self.average])]


class ImageRecipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`start`: a file of EfficientNet-Lite0 weights, or nothing for random ones; `frozen`: how many
    of the first blocks stay as they are, with the stem; less than 0 trains the stem as well.
    `statistics`: of the batch norms, as they are or learnt from these pictures.

    The first `small_share` of the steps see pictures of `small` pixels a side instead of `size`,
    at a fraction of the cost (Tan and Le 2021, progressive learning)."""

    corpora: list[Corpus]
    start: str = ""
    frozen: int = 3
    statistics: Literal["kept", "learnt"] = "kept"
    size: int = 128
    small: int = 72
    small_share: float = 0.0
    rows_per_batch: int = 32
    fit: Fit = Fit()


class AudioRecipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`start`: folder of a Whisper encoder, or nothing for random weights of the shape below."""

    corpora: list[Corpus]
    start: str = ""
    layers: int = 2
    width: int = 512
    heads: int = 8
    ffn: int = 2048
    frames_per_batch: int = 3000
    fit: Fit = Fit()


class FusionRecipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`corpora`: those whose rows teach the fusion, of any modality; `composites`: samples an epoch
    of a text, a face and a voice that share a label; `distracted`: samples an epoch of a text
    beside pictures and voices that have nothing to do with it; `multi`: the corpora with several
    labels a row, on whose held-out rows the thresholds are chosen."""

    corpora: list[Corpus]
    multi: list[str]
    shape: FusionConfig = FusionConfig()
    rows_per_batch: int = 256
    composites: int = 20_000
    distracted: int = 0
    modality_dropout: float = 0.3
    fit: Fit = Fit()


class Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A whole run. Without `image` or `audio` the model has no such tower. `dev`: corpora whose
    dev split is scored; `licences`: of each corpus, for the model card, in words; `notes`: lines
    for it that the run cannot know; `threads`: of torch; `held_out`: share of train kept for
    calibration."""

    name: str
    text: TextRecipe
    fusion: FusionRecipe
    dev: list[str]
    image: ImageRecipe | None = None
    audio: AudioRecipe | None = None
    licences: dict[str, str] = {}
    notes: list[str] = []
    seed: int = 7
    threads: int = 1
    held_out: float = 0.05


Kind = TypeVar("Kind")


def read_toml(path: Path, kind: type[Kind]) -> Kind:
    """Read and check a recipe of any kind. Raises RecipeError with the field at fault.

    A recipe with `extends`, a path from its own folder, changes what that one says: table by
    table, lists and values as a whole.
    """
    try:
        return msgspec.convert(_tables(path, []), type=kind)
    except msgspec.ValidationError as error:
        raise RecipeError(f"{path}: {error}") from error


def _tables(path: Path, above: list[Path]) -> dict[str, Any]:
    if path.resolve() in above:
        raise RecipeError(f"{path} extends itself")
    try:
        found = tomllib.loads(path.read_bytes().decode())
    except OSError as error:
        raise RecipeError(f"{path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: {error}") from error
    base = found.pop("extends", None)
    if base is None:
        return found
    if not isinstance(base, str):
        raise RecipeError(f"{path}: `extends` is to be the path of a recipe")
    return _merged(_tables(path.parent / base, [*above, path.resolve()]), found)


def _merged(base: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    found = dict(base)
    for key, value in change.items():
        both = isinstance(value, dict) and isinstance(base.get(key), dict)
        found[key] = _merged(base[key], value) if both else value
    return found


def read_recipe(path: Path) -> Recipe:
    """Read and check a recipe of `weathervane train`. Raises RecipeError."""
    return read_toml(path, Recipe)


def find_start(start: str, data: Path, out: Path) -> str:
    """Where a starting checkpoint lies: as given, in `weights/` beside the data or beside `out`.

    A name with a slash that is found nowhere is left to the hub. Raises RecipeError otherwise.
    """
    places = [Path(start), data.parent / "weights" / start, out.parent / "weights" / start]
    for place in places:
        if place.exists():
            return str(place)
    if start.count("/") == 1 and not start.startswith("."):
        return start
    looked = ", ".join(str(place) for place in places)
    raise RecipeError(f"the starting checkpoint {start!r} is in none of: {looked}")
