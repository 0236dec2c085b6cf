"""The released model for `transformers`: its config, its model, a folder that `Auto…` loads.

    from models.export.hub import register
    register()
    model = AutoModel.from_pretrained("folder-or-hub-name")

No code comes from the folder, so `trust_remote_code` is never needed. The same folder is a
release: `WEATHERVANE_RELEASE=folder-or-hub-name`.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, PretrainedConfig, PreTrainedModel
from transformers.utils import ModelOutput

from models.export.padded import by_subset, run
from models.fused import FusedModel
from models.labels import EMOTIONS, POLARITIES
from models.prepare import read_tokenizer
from models.release import (
    MODEL_TYPE,
    NGRAMS,
    WEIGHTS,
    Config,
    read_config,
    verify,
    write_json,
    write_manifest,
)

SPECIAL = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}


class WeathervaneConfig(PretrainedConfig):  # type: ignore[misc]
    """A release's `Config`, section by section. A modality without a section has no tower."""

    model_type = MODEL_TYPE

    text: dict[str, Any] | None = None
    image: dict[str, Any] | None = None
    audio: dict[str, Any] | None = None
    fusion: dict[str, Any] | None = None
    calibration: dict[str, Any] | None = None

    @classmethod
    def of(cls, config: Config) -> "WeathervaneConfig":
        """The same for `transformers`, with the emotions as its labels."""
        return cls(**msgspec.to_builtins(config), id2label=dict(enumerate(EMOTIONS)))

    def sections(self) -> Config:
        """Back to a `Config`. Raises msgspec.ValidationError where a field is out of its range."""
        return msgspec.convert({name: getattr(self, name) for name in FIELDS}, Config)


FIELDS = Config.__struct_fields__


@dataclass
class WeathervaneOutput(ModelOutput):  # type: ignore[misc]
    """Logits `(batch, 7)` and `(batch, 3)` and, calibrated for what each item has, `emotions`
    (each 0-1, not exclusive) and `polarity` (summing to 1)."""

    emotion_logits: Tensor | None = None
    polarity_logits: Tensor | None = None
    emotions: Tensor | None = None
    polarity: Tensor | None = None


class WeathervaneModel(PreTrainedModel):  # type: ignore[misc]
    """The fused model over padded batches; the inputs are those of `models.export.inputs`."""

    config_class = WeathervaneConfig
    base_model_prefix = ""
    main_input_name = "input_ids"
    _supports_sdpa = True

    def __init__(self, config: WeathervaneConfig) -> None:
        super().__init__(config)
        sections = config.sections()
        fused = FusedModel(sections)
        self.text, self.image, self.audio = fused.text, fused.image, fused.audio
        self.fusion, self.divisor = fused.fusion, fused.divisor
        self._calibration = by_subset(sections.calibration)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """Every weight comes from the checkpoint."""

    def forward(
        self, input_ids: Tensor | None = None, **inputs: Tensor | None
    ) -> WeathervaneOutput:
        """Score a batch by whichever modalities are given; see `models.export.padded.run`."""
        return WeathervaneOutput(*run(self, self._calibration, input_ids=input_ids, **inputs))


def register() -> None:
    """Make `AutoConfig` and `AutoModel` know the model. Twice does no harm."""
    AutoConfig.register(MODEL_TYPE, WeathervaneConfig, exist_ok=True)
    AutoModel.register(WeathervaneConfig, WeathervaneModel, exist_ok=True)


def export_transformers(release: Path, out: Path) -> None:
    """Write a release as a folder that `transformers` and Weathervane both load.

    `config.json` (with the label map), `model.safetensors`, `tokenizer.json` and its config,
    the n-grams, `README.md` (the card), `scores.json` and the manifest. Raises ReleaseError for a
    release that cannot be trusted.
    """
    manifest = verify(release)
    out.mkdir(parents=True, exist_ok=True)
    config = WeathervaneConfig.of(read_config(release))
    config.architectures = [WeathervaneModel.__name__]
    config.dtype = torch.float16
    config.save_pretrained(out)
    for name in (WEIGHTS, NGRAMS, "tokenizer.json", "scores.json"):
        if name in manifest.sha256:
            shutil.copyfile(release / name, out / name)
    write_json(out / "tokenizer_config.json", _tokenizer_config(release))
    write_json(
        out / "labels.json",
        {
            "emotions": EMOTIONS,
            "polarities": POLARITIES,
            "thresholds": config.sections().calibration.thresholds,
        },
    )
    card = release / "card.md"
    if card.is_file():
        (out / "README.md").write_text(
            _front_matter(manifest.use) + card.read_text(encoding="utf-8"), encoding="utf-8"
        )
    write_manifest(out, manifest.name, manifest.use)


def _tokenizer_config(release: Path) -> dict[str, object]:
    tokenizer = read_tokenizer(release)
    special = {
        role: token for role, token in SPECIAL.items() if tokenizer.token_to_id(token) is not None
    }
    return {
        "tokenizer_class": "TokenizersBackend",
        "model_max_length": read_config(release).text.max_tokens,
        **special,
    }


def _front_matter(use: str) -> str:
    licence = "apache-2.0" if use == "commercial" else "other"
    return (
        f"---\nlicense: {licence}\nlanguage: [en, zh]\nlibrary_name: transformers\n"
        "tags: [emotion, sentiment, multimodal]\n---\n\n"
    )
