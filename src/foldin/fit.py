"""The only training loop: runs any model's plan.

All randomness of a pass over the people is a pure function of (seed, epoch, phase, pass). A checkpoint therefore holds
no generator state, and a run that was killed and resumed repeats what the uninterrupted one does, to the bit.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from foldin.data import Histories
from foldin.errors import FitError, RunError
from foldin.models import Gradient, Plan, Recommender, Step, Sweep
from foldin.store import CHECKPOINT, read_tensors, write_tensors
from foldin.tensors import Tensor

__all__ = ["EpochRecord", "FitResult", "Judge", "Progress", "fit"]


# A figure of merit on held-out people, larger is better. It alone holds their targets.
Judge = Callable[[Recommender], float]


@dataclass(frozen=True, kw_only=True)
class EpochRecord:
    """What one epoch did: a line of `history.jsonl`.

    Args:
        epoch: counted from 1.
        seconds: of training in this epoch, without judging.
        people_per_second: gradient passes only; None for sweeps.
        terms: means over the epoch, by "phase/term".
        metric: the judge's figure; None when it was not asked.
        best: whether it is the best so far.
    """

    epoch: int
    seconds: float
    people_per_second: float | None
    terms: dict[str, float]
    metric: float | None
    best: bool


class Progress:
    """Told what training does; does nothing. Override what is of interest."""

    def begin(self, plan: Plan, epochs: int, done: int) -> None:
        """Training starts, or goes on after `done` epochs."""

    def step(self, phase: str, done: int, total: int, terms: Mapping[str, Tensor]) -> None:
        """`done` of an epoch's `total` steps of a phase are taken."""

    def epoch(self, record: EpochRecord) -> None:
        """An epoch has ended."""


@dataclass(frozen=True, kw_only=True)
class FitResult:
    """How training went.

    Args:
        records: one an epoch, those before a resume included.
        best_epoch: whose weights the model holds now; None without a judge.
        best_metric: the judge's figure there.
        stopped: `finished`, `patience` or `interrupted`.
        seconds: in all, judging included.
    """

    records: tuple[EpochRecord, ...]
    best_epoch: int | None
    best_metric: float | None
    stopped: str
    seconds: float


@dataclass
class _State:
    """What a checkpoint holds."""

    epoch: int = 0
    steps: dict[str, int] = field(default_factory=dict)
    planned: dict[str, int] = field(default_factory=dict)
    records: list[EpochRecord] = field(default_factory=list)
    best_epoch: int | None = None
    best_metric: float = -math.inf
    best: dict[str, Tensor] = field(default_factory=dict)
    seconds: float = 0.0


def _generator(device: torch.device, *numbers: int) -> torch.Generator:
    """A generator whose stream is a pure function of the numbers."""
    seed = int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)
    return torch.Generator(device).manual_seed(seed)


def _check_plan(plan: Plan, epochs: int) -> None:
    names = [phase.name for phase in plan.phases]
    if not names or len(set(names)) != len(names):
        raise FitError(f"a plan needs phases of different names, not {names}")
    if epochs < 1:
        raise FitError(f"epochs must be at least 1, not {epochs}")


class _Loop:
    """One call of `fit`."""

    def __init__(
        self, model: Recommender, train: Histories, plan: Plan, epochs: int, seed: int, progress: Progress
    ) -> None:
        self.model, self.train, self.plan, self.epochs, self.seed = model, train, plan, epochs, seed
        self.progress = progress
        self.state = _State()
        self.optimizers = {
            phase.name: phase.optimizer(phase.parameters) for phase in plan.phases if isinstance(phase, Gradient)
        }

    def run_epoch(self, epoch: int) -> tuple[dict[str, float], int]:
        """(mean terms, people passed over) of one epoch."""
        terms: dict[str, float] = {}
        people = 0
        for index, phase in enumerate(self.plan.phases):
            if isinstance(phase, Sweep):
                if epoch % phase.every:
                    continue
                found = phase.run(self.train, _generator(self.model.device, self.seed, epoch, index))
            else:
                found = self._passes(phase, epoch, index)
                people += phase.passes * len(self.train)
            for name, value in found.items():
                if not math.isfinite(value):
                    raise FitError(
                        f"epoch {epoch}, phase {phase.name!r}: {name} is {value}; a smaller learning rate may help"
                    )
                terms[f"{phase.name}/{name}"] = value
        return terms, people

    def _passes(self, phase: Gradient, epoch: int, index: int) -> dict[str, float]:
        parameters = list(phase.parameters.values())
        for tensor in self.model.tensors().values():
            if isinstance(tensor, torch.nn.Parameter):
                tensor.requires_grad_(any(tensor is one for one in parameters))
        optimizer = self.optimizers[phase.name]
        totals: dict[str, Tensor] = {}
        for number in range(phase.passes):
            generator = _generator(self.model.device, self.seed, epoch, index, number)
            batches = phase.batches(self.train, np.random.default_rng([self.seed, epoch, index, number]))
            people, steps = sum(map(len, batches)), len(batches)
            if phase.name not in self.state.planned:
                self.state.planned[phase.name] = self.epochs * phase.passes * steps
            for at, chosen in enumerate(batches):
                taken = self.state.steps.get(phase.name, 0)
                step = Step(number=taken, planned=self.state.planned[phase.name], users=chosen)
                if phase.learning_rate is not None:
                    for group in optimizer.param_groups:
                        group["lr"] = phase.learning_rate(step)
                optimizer.zero_grad()
                loss = phase.loss(self.train.select(chosen), step, generator)
                loss.value.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                self.state.steps[phase.name] = taken + 1
                for name, value in {"loss": loss.value, **loss.terms}.items():
                    part = value.detach() * (len(chosen) / (people * phase.passes))
                    totals[name] = totals[name] + part if name in totals else part
                self.progress.step(phase.name, number * steps + at + 1, phase.passes * steps, loss.terms)
        return {name: float(value) for name, value in totals.items()}

    def judge(
        self, judge: Judge | None, epoch: int, terms: dict[str, float], people: int, seconds: float
    ) -> EpochRecord:
        """The epoch's record; keeps the weights when they are the best so far."""
        metric = None if judge is None else judge(self.model)
        if metric is not None and not math.isfinite(metric):
            raise FitError(f"epoch {epoch}: the validation figure is {metric}")
        best = metric is not None and metric > self.state.best_metric
        if best and metric is not None:
            weights = self.model.state()  # first: an interrupt in here must not pair them with an older figure
            self.state.best, self.state.best_epoch, self.state.best_metric = weights, epoch, metric
        return EpochRecord(
            epoch=epoch,
            seconds=seconds,
            people_per_second=people / seconds if people and seconds > 0 else None,
            terms=terms,
            metric=metric,
            best=best,
        )

    def identity(self, judged_by: str) -> dict[str, Any]:
        """What a checkpoint must agree with to be continued."""
        return {
            "judge": judged_by,
            "model": type(self.model).__name__,
            "config": self.model.config.as_dict(),
            "epochs": self.epochs,
            "seed": self.seed,
            "train": self.train.fingerprint(),
        }

    def save(self, path: Path, identity: Mapping[str, Any]) -> None:
        tensors = {f"model/{name}": tensor for name, tensor in self.model.tensors().items()}
        tensors |= {f"training/{name}": tensor for name, tensor in self.model.training_state().items()}
        tensors |= {f"best/{name}": tensor for name, tensor in self.state.best.items()}
        for phase, optimizer in self.optimizers.items():
            for index, entries in optimizer.state_dict()["state"].items():
                for name, value in entries.items():
                    tensors[f"optimizer/{phase}/{index}/{name}"] = torch.as_tensor(value)
        state = self.state
        about = {
            "identity": identity,
            "epoch": state.epoch,
            "steps": state.steps,
            "planned": state.planned,
            "records": [asdict(record) for record in state.records],
            "best_epoch": state.best_epoch,
            "best_metric": state.best_metric if state.best_epoch is not None else None,
            "seconds": state.seconds,
        }
        write_tensors(path, tensors, about)

    def load(self, path: Path, identity: Mapping[str, Any]) -> None:
        tensors, about = read_tensors(path)
        stored = about["identity"]
        for name, value in identity.items():
            # The stored identity went through JSON, where a tuple is a list.
            own = (
                {k: list(v) if isinstance(v, tuple) else v for k, v in value.items()}
                if isinstance(value, dict)
                else value
            )
            if stored.get(name) != own:
                raise RunError(f"{path}: it was trained with another {name}: {stored.get(name)!r}, now {own!r}")
        parts: dict[str, dict[str, Tensor]] = {"model": {}, "training": {}, "best": {}, "optimizer": {}}
        for name, tensor in tensors.items():
            part, rest = name.split("/", 1)
            parts[part][rest] = tensor
        self.model.load_state(parts["model"])
        self.model.load_training_state(parts["training"])
        for phase, optimizer in self.optimizers.items():
            entries: dict[int, dict[str, Tensor]] = {}
            for name, tensor in parts["optimizer"].items():
                of, index, key = name.split("/")
                if of == phase:
                    entries.setdefault(int(index), {})[key] = tensor
            optimizer.load_state_dict({"state": entries, "param_groups": optimizer.state_dict()["param_groups"]})
        self.state = _State(
            epoch=about["epoch"],
            steps=about["steps"],
            planned=about["planned"],
            records=[EpochRecord(**record) for record in about["records"]],
            best_epoch=about["best_epoch"],
            best_metric=-math.inf if about["best_metric"] is None else about["best_metric"],
            best=parts["best"],
            seconds=about["seconds"],
        )


def fit(
    model: Recommender,
    train: Histories,
    *,
    judge: Judge | None = None,
    judged_by: str = "",
    seed: int = 0,
    epochs: int | None = None,
    patience: int | None = 20,
    folder: Path | None = None,
    resume: bool = False,
    progress: Progress | None = None,
    until: Callable[[EpochRecord], bool] | None = None,
) -> FitResult:
    """Train a model by its plan; it ends with the weights of its best epoch, or the last without a judge.

    Args:
        model: trained in place.
        train: the training people. Validation people never come here; `judge` holds them.
        judge: asked after every epoch, unless the plan is a closed form.
        judged_by: what the judge measures; a checkpoint is continued by the same only.
        seed: of order, dropout and noise; the initial weights have the model's own seed.
        epochs: at most; the plan's number when None. Schedules run over these.
        patience: epochs without a better figure before training stops; None for never.
        folder: keeps a checkpoint after every epoch here.
        resume: continue from that checkpoint, when there is one.
        progress: told of steps and epochs.
        until: stops training after an epoch for which it is true.

    Raises:
        FitError: no people, an empty plan, or a term that is not finite.
        RunError: the checkpoint is damaged or belongs to another model, data, seed or number of epochs.
    """
    if len(train) == 0 or train.n_events == 0:
        raise FitError("there is nobody to train on")
    model._check(train)
    plan, progress = model.plan(), progress or Progress()
    closed = plan.epochs == 1 and not any(isinstance(phase, Gradient) for phase in plan.phases)
    total = plan.epochs if epochs is None or closed else epochs
    _check_plan(plan, total)
    loop = _Loop(model, train, plan, total, seed, progress)
    identity = loop.identity(judged_by) if folder is not None else {}
    path = None if folder is None else folder / CHECKPOINT
    if path is not None and resume and path.is_file():
        loop.load(path, identity)
    else:
        for index, sweep in enumerate(plan.first):
            sweep.run(train, _generator(model.device, seed, 0, index))
    progress.begin(plan, total, loop.state.epoch)
    state, stopped, began = loop.state, "finished", time.perf_counter()
    before = state.seconds
    try:
        while state.epoch < total:
            if patience is not None and state.best_epoch is not None and state.epoch - state.best_epoch >= patience:
                stopped = "patience"
                break
            if until is not None and state.records and until(state.records[-1]):
                break
            epoch, start = state.epoch + 1, time.perf_counter()
            terms, people = loop.run_epoch(epoch)
            seconds = time.perf_counter() - start
            record = loop.judge(None if closed else judge, epoch, terms, people, seconds)
            state.records.append(record)
            state.epoch = epoch
            state.seconds = before + time.perf_counter() - began
            if path is not None and total > 1:
                loop.save(path, identity)
            progress.epoch(record)
    except KeyboardInterrupt:
        stopped = "interrupted"
    for tensor in model.tensors().values():
        tensor.grad = None
    if state.best:
        model.load_state(state.best)
    return FitResult(
        records=tuple(state.records),
        best_epoch=state.best_epoch,
        best_metric=None if state.best_epoch is None else state.best_metric,
        stopped=stopped,
        seconds=before + time.perf_counter() - began,
    )
