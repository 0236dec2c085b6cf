"""Towers and fusions trained on one split of posts, each once, and scored on the same posts.

OUT/NAME.safetensors   the weights of a tower or fusion that is done
OUT/NAME.json          its result
OUT/log.csv            losses, one line an epoch

What is done is not done again, so a run that was killed goes on with the next model; one whose
recipe changed is trained anew when its files are removed.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import msgspec
import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn.functional import cross_entropy

from models.classic.balance import loss_of
from models.classic.batches import Readers, append_log, mark_posts, present, tensors
from models.classic.family import FAMILY, Find
from models.classic.fitting import HEAD_RATE, Pace, fit, hide, parameter_groups
from models.classic.fusion import Batch, Ensemble, Joint, Model, Parts
from models.classic.plan import SuitePlan, TowerPlan, fused_by_modality
from models.classic.posts import Indices, Posts
from models.classic.readers import Array, Reader
from models.device import settled_dtype
from models.training.checkpoint import write_whole
from models.training.progress import Report

FUSIONS = {
    "feature-fusion": "feature fusion: vectors of the trained towers",
    "model-sum": "model fusion: sum",
    "model-weighted": "model fusion: learnt weights",
    "data-fusion": "data fusion: trained as one",
}
CHUNK = 32  # posts encoded together where nothing is learnt
WEIGHTS_RATE = 1e-2  # of the few weights of the model fusion
WATCHED = 300  # held-out posts that the log looks at


@dataclass(frozen=True, slots=True)
class Split:
    """Posts to learn from; held out, for the weights of the model fusion and the log; to score."""

    learn: Posts
    held: Posts
    test: Posts


class Result(msgspec.Struct, frozen=True):
    """What one tower or fusion said of the posts to score, as places in the classes.

    `subsets`: of a fusion, the same with only these modalities left, by names joined with "+".
    """

    name: str
    title: str
    parameters: int
    rows: int
    epochs: int
    seconds: float
    predicted: list[int]
    subsets: dict[str, list[int]] = {}


@dataclass(frozen=True, slots=True)
class Trained:
    """A model with its readers, one a modality."""

    model: Model
    readers: Readers


class Suite:
    """Builds, trains, keeps and scores the models of one plan."""

    def __init__(
        self, split: Split, plan: SuitePlan, out: Path, find: Find, report: Report
    ) -> None:
        self.split, self.plan, self.out = split, plan, out
        self._find, self._report = find, report
        mark_posts(out, (split.learn, split.held, split.test))
        self._watched = split.held.take(np.arange(min(WATCHED, len(split.held))))
        self._half = settled_dtype(out, torch.device("cpu")) is torch.bfloat16
        self._trained: dict[str, Trained] = {}
        self._arrays: dict[tuple[str, int], list[Array | None]] = {}

    @property
    def names(self) -> list[str]:
        """Towers, then the fusions where there are two towers to fuse."""
        return [*self.plan.towers, *(FUSIONS if len(self.plan.fuse) > 1 else ())]

    def result(self, name: str) -> Result:
        """Of one tower or fusion; trained now, if it was not."""
        file = self.out / f"{name}.json"
        if file.is_file():
            return msgspec.json.decode(file.read_bytes(), type=Result)
        began = time.process_time()
        trained = self.trained(name)
        seconds = time.process_time() - began
        tower = self.plan.towers.get(name, self.plan.fusion)
        predicted, subsets = self._score(trained)
        result = Result(
            name=name,
            title=FAMILY[name].title if name in FAMILY else FUSIONS[name],
            parameters=sum(p.numel() for p in trained.model.parameters()),
            rows=self._rows(name, tower),
            epochs=0 if name == "model-sum" else tower.epochs,
            seconds=round(seconds, 1),
            predicted=predicted,
            subsets=subsets,
        )
        file.write_bytes(msgspec.json.encode(result))
        return result

    def trained(self, name: str) -> Trained:
        """The model of that name with its weights, which are learnt now if they were not."""
        if name not in self._trained:
            torch.manual_seed(self.plan.seed)
            builders: dict[str, Callable[[], Trained]] = {
                "feature-fusion": self._feature_fusion,
                "model-sum": lambda: self._model_fusion(learnt=False),
                "model-weighted": lambda: self._model_fusion(learnt=True),
                "data-fusion": self._data_fusion,
            }
            build = builders.get(name, lambda: self._tower(name))
            self._trained[name] = build()
        return self._trained[name]

    def _rows(self, name: str, wish: TowerPlan) -> int:
        """How many posts it learns from."""
        if name == "model-weighted":
            return len(self.split.held)
        return 0 if name == "model-sum" else len(self._learnt(wish))

    def batch(self, trained: Trained, posts: Posts) -> Batch:
        """Posts as a model reads them, nothing varied; read anew each time."""
        arrays = {name: reader.read(posts) for name, reader in trained.readers.items()}
        return tensors(trained.readers, arrays, np.arange(len(posts)))

    def _tower(self, name: str) -> Trained:
        wish, member = self.plan.towers[name], FAMILY[name]
        learnt = self._learnt(wish)
        reader, tower = member.make(wish, learnt, self._find)
        model = Joint({member.modality: tower}, len(learnt.classes))
        trained = Trained(model, {member.modality: reader})
        self._end_to_end(name, trained, learnt, wish, half=self._half and member.half)
        return trained

    def _data_fusion(self) -> Trained:
        towers: dict[str, nn.Module] = {}
        readers: dict[str, Reader] = {}
        rates = [self.plan.towers[name].rate for name in self.plan.fuse]
        for modality, name in fused_by_modality(self.plan).items():
            wish = self.plan.towers[name]
            readers[modality], towers[modality] = FAMILY[name].make(
                wish, self.split.learn, self._find
            )
        model = Joint(towers, len(self.split.learn.classes))
        trained = Trained(model, readers)
        wish = msgspec.structs.replace(self.plan.fusion, rate=min(rates))
        half = self._half and any(FAMILY[name].half for name in self.plan.fuse)
        self._end_to_end("data-fusion", trained, self._learnt(wish), wish, half=half)
        return trained

    def _feature_fusion(self) -> Trained:
        alone = self._alone()
        towers = {m: one.model.get_submodule(f"towers.{m}") for m, one in alone.items()}
        model = Joint(towers, len(self.split.learn.classes))
        trained = Trained(model, {m: one.readers[m] for m, one in alone.items()})
        learnt = self._learnt(self.plan.fusion)
        self._head("feature-fusion", trained, learnt, rate=HEAD_RATE)
        return trained

    def _model_fusion(self, learnt: bool) -> Trained:
        alone = self._alone()
        models = {m: one.model for m, one in alone.items() if isinstance(one.model, Joint)}
        trained = Trained(Ensemble(models, learnt), {m: one.readers[m] for m, one in alone.items()})
        if learnt and len(self.split.held):
            # Not on the posts that the models learnt from: there each seems surer than it is.
            self._head("model-weighted", trained, self.split.held, rate=WEIGHTS_RATE)
        return trained

    def _alone(self) -> dict[str, Trained]:
        """The models of the towers to fuse, by modality."""
        alone: dict[str, Trained] = {
            m: self.trained(name) for m, name in fused_by_modality(self.plan).items()
        }
        torch.manual_seed(self.plan.seed)  # whether they were trained just now or long ago
        return alone

    def _end_to_end(
        self, name: str, trained: Trained, posts: Posts, wish: TowerPlan, *, half: bool
    ) -> None:
        """Learn towers and classifier, or read their weights where that was done."""
        model, file = trained.model, self.out / f"{name}.safetensors"
        if file.is_file():
            model.load_state_dict(load_file(file))
            model.eval()
            return
        arrays = self._read(trained.readers, posts)
        having = present(arrays)

        def logits(chosen: Indices, random: np.random.Generator) -> torch.Tensor:
            kept = hide(having[chosen], self.plan.modality_dropout, random)
            batch = tensors(trained.readers, arrays, chosen, random, kept)
            with torch.autocast("cpu", torch.bfloat16, enabled=half):
                found: torch.Tensor = model(batch)
            return found

        groups = parameter_groups(model, wish.rate)
        self._fit(name, trained, logits, posts.labels, (groups, wish.epochs))
        write_whole(model.state_dict(), file)

    def _head(self, name: str, trained: Trained, posts: Posts, *, rate: float) -> None:
        """Learn the head alone, on what the parts below it say once and for all."""
        head, file = trained.model.head, self.out / f"{name}.safetensors"
        if file.is_file():
            head.load_state_dict(load_file(file))
            trained.model.eval()
            return
        parts = self._parts(trained, posts)

        def logits(chosen: Indices, random: np.random.Generator) -> torch.Tensor:
            some = parts.take(torch.from_numpy(chosen))
            kept = hide(some.present.numpy(), self.plan.modality_dropout, random)
            found: torch.Tensor = head(some.masked(torch.from_numpy(kept)))
            return found

        heads: list[dict[str, object]] = [{"params": list(head.parameters()), "lr": rate}]
        self._fit(name, trained, logits, posts.labels, (heads, self.plan.fusion.epochs))
        write_whole(head.state_dict(), file)

    def _fit(
        self,
        name: str,
        trained: Trained,
        logits: Callable[[Indices, np.random.Generator], torch.Tensor],
        labels: Indices,
        plan: tuple[list[dict[str, object]], int],
    ) -> None:
        groups, epochs = plan
        lines: list[tuple[str, int, str, str, str]] = []

        def after_epoch(epoch: int, loss: float) -> None:
            held = self._watch(trained, self._watched) if len(self._watched) else ("", "")
            lines.append((name, epoch, f"{loss:.4f}", *held))

        fit(
            trained.model,
            groups,
            logits,
            labels,
            Pace(epochs, self.plan.batch, self.plan.seed),
            criterion=loss_of(self.plan.balance, labels, len(self.split.learn.classes)),
            after_step=lambda step, steps, loss: self._report(name, step, steps, loss),
            after_epoch=after_epoch,
        )
        append_log(self.out / "log.csv", lines)

    @torch.no_grad()
    def _watch(self, trained: Trained, posts: Posts) -> tuple[str, str]:
        """Loss and accuracy on held-out posts."""
        logits = trained.model.head(self._parts(trained, posts))
        labels = torch.from_numpy(posts.labels)
        right = (logits.argmax(dim=1) == labels).float().mean()
        return f"{float(cross_entropy(logits, labels)):.4f}", f"{float(right):.4f}"

    @torch.no_grad()
    def _score(self, trained: Trained) -> tuple[list[int], dict[str, list[int]]]:
        trained.model.eval()
        parts = self._parts(trained, self.split.test)
        names = list(trained.readers)
        subsets: dict[str, list[int]] = {}
        for size in range(1, len(names)):
            for left in combinations(range(len(names)), size):
                kept = torch.tensor([column in left for column in range(len(names))])
                said = trained.model.head(parts.masked(kept.expand_as(parts.present)))
                subsets["+".join(names[column] for column in left)] = said.argmax(dim=1).tolist()
        predicted: list[int] = trained.model.head(parts).argmax(dim=1).tolist()
        return predicted, subsets

    @torch.no_grad()
    def _parts(self, trained: Trained, posts: Posts) -> Parts:
        """What the towers or models of a fusion say of posts, nothing varied."""
        trained.model.eval()
        arrays = self._read(trained.readers, posts)
        chunks = [
            trained.model.parts(tensors(trained.readers, arrays, chosen))
            for chosen in np.array_split(np.arange(len(posts)), -(-len(posts) // CHUNK))
        ]
        values = {name: torch.cat([c.values[name] for c in chunks]) for name in trained.readers}
        return Parts(values, torch.cat([chunk.present for chunk in chunks]))

    def _learnt(self, wish: TowerPlan) -> Posts:
        """The posts to learn from, or a random choice of them."""
        every = self.split.learn
        if not 0 < wish.rows < len(every):
            return every
        order = np.random.default_rng(self.plan.seed).permutation(len(every))
        return every.take(np.sort(order[: wish.rows]))

    def _read(self, readers: Readers, posts: Posts) -> dict[str, list[Array | None]]:
        """Arrays by modality, kept for the parts of the split, which are read again and again."""
        lasting = (self.split.learn, self.split.held, self.split.test, self._watched)
        found: dict[str, list[Array | None]] = {}
        for name, reader in readers.items():
            key = (reader.key, id(posts))
            arrays = self._arrays.get(key) or reader.read(posts)
            if any(posts is part for part in lasting):
                self._arrays[key] = arrays
            found[name] = arrays
        return found
