"""One epoch of a training: its phases in their order, the steps of each, and its record.

All randomness of a pass over the training data is a pure function of (seed, epoch, phase, pass).
"""

import math
from collections.abc import Mapping
from contextlib import nullcontext
from functools import partial
from typing import Any

import numpy as np
import torch

from foldin.errors import FitError
from foldin.kernels.threads import operations_on_one_thread
from foldin.rows import Rows
from foldin.tensors import Tensor
from foldin.training.checkpoint import EpochRecord, TrainingState
from foldin.training.distributed import gradients
from foldin.training.precision import with_precision
from foldin.training.progress import Progress, Validation
from foldin.training.trainable import Trainable
from foldin.training.trainer import FullPass, GradientPhase, Step, Trainer
from foldin.workers import Group, GroupGenerator

__all__ = ["Loop", "finite", "generator_of"]


def generator_of(group: Group, device: torch.device, *numbers: int) -> torch.Generator:
    """A random generator whose stream is a pure function of the numbers; it leads a pass to the workers that share it."""
    seed = int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)
    made = torch.Generator(device) if group.size == 1 else GroupGenerator(device, group)
    made.manual_seed(seed)
    return made


def finite(terms: Mapping[str, float], where: str, phase: str) -> dict[str, float]:
    """The terms by "phase/term"; raises FitError if one is not finite."""
    for name, value in terms.items():
        if not math.isfinite(value):
            raise FitError(f"{where}: {name} is {value}; a smaller learning rate may help")
    return {f"{phase}/{name}": value for name, value in terms.items()}


class Loop:
    """The state of one call of `fit`, and its epochs."""

    def __init__(
        self,
        model: Trainable[Any, Any],
        train: Rows,
        trainer: Trainer[Any],
        epochs: int,
        seed: int,
        progress: Progress,
        group: Group,
        precision: str,
    ) -> None:
        self.model, self.train, self.trainer, self.epochs, self.seed = model, train, trainer, epochs, seed
        self.progress, self.group, self.gradients = progress, group, gradients(group)
        self.phases = with_precision(trainer.phases, precision, model.device)
        self.state = TrainingState()
        self.optimizers = {
            phase.name: phase.optimizer(phase.parameters) for phase in self.phases if isinstance(phase, GradientPhase)
        }

    def run_epoch(self, epoch: int) -> tuple[dict[str, float], int]:
        """(mean terms, number of users in all gradient passes) of one epoch."""
        terms: dict[str, float] = {}
        users = 0
        for index, phase in enumerate(self.phases):
            if isinstance(phase, FullPass):
                if epoch % phase.every:
                    continue
                found = phase.run(self.train, generator_of(self.group, self.model.device, self.seed, epoch, index))
            else:
                with operations_on_one_thread() if phase.small else nullcontext():
                    found = self._passes(phase, epoch, index)
                users += phase.passes * len(self.train)
            terms |= finite(found, f"epoch {epoch}, phase {phase.name!r}", phase.name)
        return terms, users

    def _passes(self, phase: GradientPhase[Any], epoch: int, index: int) -> dict[str, float]:
        parameters = list(phase.parameters.values())
        for tensor in self.model.tensors().values():
            if isinstance(tensor, torch.nn.Parameter):
                tensor.requires_grad_(any(tensor is one for one in parameters))
        optimizer = self.optimizers[phase.name]
        totals: dict[str, Tensor] = {}
        for number in range(phase.passes):
            generator = generator_of(self.group, self.model.device, self.seed, epoch, index, number)
            batches = phase.batches(self.train, np.random.default_rng([self.seed, epoch, index, number]))
            users, steps = sum(map(len, batches)), len(batches)
            if phase.name not in self.state.planned:
                self.state.planned[phase.name] = self.epochs * phase.passes * steps
                self.state.steps[phase.name] = (
                    self.state.epoch * phase.passes * steps
                )  # of the epochs before the first one
            for at, chosen in enumerate(batches):
                taken = self.state.steps[phase.name]
                step = Step(number=taken, planned=self.state.planned[phase.name], users=chosen)
                if phase.learning_rate is not None:
                    for group in optimizer.param_groups:
                        group["lr"] = phase.learning_rate(step)
                for one in parameters:
                    one.grad = None
                loss = self.gradients(phase, self.train, step, generator)
                optimizer.step()
                self.state.steps[phase.name] = taken + 1
                for name, value in {"loss": loss.value, **loss.terms}.items():
                    if name not in totals:
                        totals[name] = torch.zeros_like(value.detach())
                    totals[name].add_(value.detach(), alpha=len(chosen) / (users * phase.passes))
                self.progress.step(phase.name, number * steps + at + 1, phase.passes * steps, loss.terms)
        return {name: float(value) for name, value in totals.items()}

    def recorded(
        self, validation: Validation[Any] | None, epoch: int, terms: dict[str, float], users: int, seconds: float
    ) -> EpochRecord:
        """The record of an epoch; if its metric is the best so far, a copy of the weights is kept."""
        metric = None if validation is None else self.group.of_first(partial(validation, self.model))
        if metric is not None and not math.isfinite(metric):
            raise FitError(f"epoch {epoch}: the validation metric is {metric}")
        best = metric is not None and metric > self.state.best_metric
        if best and metric is not None:
            weights = self.model.state()  # copied first, so that an interrupt cannot pair them with an older metric
            self.state.best, self.state.best_epoch, self.state.best_metric = weights, epoch, metric
        return EpochRecord(
            epoch=epoch,
            seconds=seconds,
            users_per_second=users / seconds if users and seconds > 0 else None,
            terms=terms,
            metric=metric,
            best=best,
        )
