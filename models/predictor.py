"""The device side of inference: prepared items in, predictions out, item by item."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from models.batching import pack
from models.device import available, fastest_dtype
from models.errors import ItemError
from models.fused import FusedModel
from models.labels import MODALITIES, Modality
from models.prediction import Prediction, Spoken, calibrated, nothing_read, predict_from
from models.prepare import Prepared
from models.release import DEFAULT_RELEASE, Calibration, full_name, read_config, verify
from models.weights import load_weights

__all__ = ["DEFAULT_RELEASE", "Prediction", "Predictor"]

BUDGET = 2048  # tokens in one forward pass: on a processor the rate is flat from 512 on
UNFIT = (RuntimeError, ValueError, IndexError, TypeError)  # what an ill-shaped item can raise
OUT_OF_MEMORY = ("can't allocate memory", "could not create a primitive")
"""What torch's allocator and oneDNN say on a processor: both errors are plain RuntimeErrors."""
log = logging.getLogger(__name__)


class Predictor:
    """A released model, loaded and ready."""

    def __init__(self, model: FusedModel, calibration: Calibration, name: str) -> None:
        self._model = model
        self._calibration = calibration
        self._name = name

    @classmethod
    def load(
        cls,
        release: Path = DEFAULT_RELEASE,
        device: str = "auto",
        dtype: torch.dtype | None = None,
    ) -> "Predictor":
        """Check a release folder against its manifest and load it.

        `device`: "cpu", "cuda", or "auto" for the latter where there is one. Sets torch to one
        thread: work is spread over processes. The number format, where none is given, is the
        faster of float32 and bfloat16, measured here. Raises ReleaseError for a folder that is
        incomplete or altered.
        """
        torch.set_num_threads(1)
        manifest = verify(release)
        config = read_config(release)
        place = available(device)
        model = load_weights(config, release)
        model.place(place, dtype or fastest_dtype(place))
        return cls(model, config.calibration, full_name(manifest, config))

    @property
    def name(self) -> str:
        """Model name and hash, `fused-joint@0123456789ab`; see `models.release.full_name`."""
        return self._name

    @property
    def on_processor(self) -> bool:
        """Whether it computes in the memory of this process."""
        return next(self._model.text.parameters()).device.type == "cpu"

    @property
    def dtype(self) -> torch.dtype:
        """The number format of the towers."""
        return next(self._model.text.parameters()).dtype

    def predict(self, batch: Sequence[Prepared]) -> list[Prediction | ItemError]:
        """Score every item, in order. One that cannot be scored is an ItemError in its place.

        Of a blank item nothing is claimed, and the model is not asked.
        """
        results: list[Prediction | ItemError] = [nothing_read() for _ in batch]
        places = [place for place, item in enumerate(batch) if not item.blank]
        for indices in pack([batch[place].cost for place in places], BUDGET):
            packed = [places[index] for index in indices]
            scored = self._score([batch[place] for place in packed])
            for place, answer in zip(packed, scored, strict=True):
                results[place] = answer
        return results

    @torch.inference_mode()
    def prior(self) -> Spoken:
        """What the model says before it reads anything, as probabilities: emotions `(7,)` and
        polarity `(3,)`. It says nothing of any post; explanations begin with it."""
        logits = self._model(self._model.pool([Prepared()]))
        emotions, polarity = (part.float().cpu().numpy()[0] for part in logits)
        return calibrated(emotions, polarity, (), self._calibration)

    def _score(self, items: list[Prepared]) -> list[Prediction | ItemError]:
        """Halve a batch that fails, or that does not fit in memory, until one item stands alone."""
        try:
            return self._forward(items)
        except (torch.OutOfMemoryError, MemoryError) as error:
            failed = ItemError(f"the model has no memory for this item: {error}", exhausted=True)
        except torch.AcceleratorError:
            # The device's context is lost, and every later answer with it: end, to be replaced.
            raise
        except UNFIT as error:
            out = any(words in str(error) for words in OUT_OF_MEMORY)
            why = "has no memory for" if out else "cannot read"
            failed = ItemError(f"the model {why} this item: {error}", exhausted=out)
        # Not within the except clause: its traceback keeps the tensors of the attempt alive.
        if len(items) == 1:
            return [failed]
        what = "out of memory" if failed.exhausted else "an error of the model"
        log.warning("%s on %d items, halved", what, len(items))
        if failed.exhausted and torch.cuda.is_available():
            torch.cuda.empty_cache()
        middle = len(items) // 2
        return self._score(items[:middle]) + self._score(items[middle:])

    @torch.inference_mode()
    def _forward(self, items: list[Prepared]) -> list[Prediction | ItemError]:
        pooled = self._model.pool(items)
        emotions, polarity = self._model(pooled)
        fused = (emotions.float().cpu().numpy(), polarity.float().cpu().numpy())
        alone: list[dict[Modality, Spoken]] = [{} for _ in items]
        several = pooled.present.sum(dim=1) > 1
        for column, name in enumerate(MODALITIES):
            rows = pooled.present[:, column]
            for row in (rows & ~several).nonzero()[:, 0].tolist():
                alone[row][name] = (fused[0][row], fused[1][row])
            mixed = (rows & several).nonzero()[:, 0]
            if len(mixed):
                logits = self._model(pooled.only(column, mixed))
                columns = [part.float().cpu().numpy() for part in logits]
                for place, row in enumerate(mixed.tolist()):
                    alone[row][name] = (columns[0][place], columns[1][place])
        return [
            self._finish(fused[0][row], fused[1][row], spoken) for row, spoken in enumerate(alone)
        ]

    def _finish(
        self, emotions: np.ndarray, polarity: np.ndarray, alone: dict[Modality, Spoken]
    ) -> Prediction | ItemError:
        every = [emotions, polarity, *(part for spoken in alone.values() for part in spoken)]
        if not all(np.isfinite(part).all() for part in every):
            return ItemError("the model's scores for this item are not finite numbers")
        return predict_from(emotions, polarity, alone, self._calibration)
