"""Training as data, and all that exists only while a model is trained.

A trainer is a number of epochs, each the same sequence of phases: passes of gradient steps over batches of rows, or full passes
over all of them. Mult-VAE has one phase; RecVAE passes over its encoder, refreshes its prior, passes over its decoder; EM and
closed forms are full passes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import torch

from foldin.errors import FitError
from foldin.rows import Rows
from foldin.tensors import Array, Float, Int64, Tensor

__all__ = [
    "Batches",
    "FullPass",
    "GradientPhase",
    "Loss",
    "Phase",
    "Pretraining",
    "Step",
    "Trainer",
    "falling",
    "shuffled",
]


D = TypeVar("D", bound=Rows)

# The batches of one pass: indices of training rows, in the order in which they are taken.
Batches = Callable[[D, np.random.Generator], Sequence[Int64[Array, " batch"]]]


def shuffled(size: int) -> Batches[Rows]:
    """All rows in random order, `size` a batch."""

    def batches(train: Rows, rng: np.random.Generator) -> list[Int64[Array, " batch"]]:
        order = rng.permutation(len(train))
        return [order[at : at + size] for at in range(0, len(train), size)]

    return batches


@dataclass(frozen=True)
class Step:
    """Where training stands: a schedule is a pure function of it.

    Args:
        number: gradient steps of this phase taken before this one, over the whole run.
        planned: gradient steps of this phase in the whole run, should it not stop early and should every pass have as
            many batches as the first.
        users: which of the training users the batch holds.
    """

    number: int
    planned: int
    users: Int64[Array, " batch"] = field(default_factory=lambda: np.empty(0, np.int64), compare=False)

    @property
    def share(self) -> float:
        """The part of the planned steps that is done, in [0, 1]."""
        return min(1.0, self.number / self.planned)

    def risen(self, over: float) -> float:
        """How far a weight has risen, from 0 to 1 in a straight line over the first share `over` of the planned steps."""
        return min(1.0, self.share / over) if over > 0 else 1.0


def falling(rate: float, over: float) -> Callable[[Step], float]:
    """A learning rate that falls to zero in a straight line over the last share `over` of the planned steps; 0 for never."""
    return lambda step: rate * min(1.0, (1.0 - step.share) / over) if over else rate


class Loss(NamedTuple):
    """What a gradient step makes smaller, and the terms to report (nats per user unless a name says otherwise)."""

    value: Float[Tensor, ""]
    terms: Mapping[str, Float[Tensor, ""]]


@dataclass(frozen=True, kw_only=True)
class GradientPhase(Generic[D]):
    """Passes over the users in batches, one optimizer step each.

    Args:
        name: in progress and history.
        parameters: what is optimized, by name; nothing else may need a gradient.
        loss: of a batch of users, at a step, with the generator of all its randomness.
        optimizer: makes the optimizer of `parameters`; its state is part of a checkpoint.
        batches: of a pass; every row that has something to learn from is in one of them.
        passes: over the users, in each epoch.
        learning_rate: at a step; None leaves the optimizer's own.
        small: whether batches are so small that PyTorch's own operations are quicker on one thread.
    """

    name: str
    parameters: Mapping[str, torch.nn.Parameter]
    loss: Callable[[D, Step, torch.Generator], Loss]
    optimizer: Callable[[Mapping[str, torch.nn.Parameter]], torch.optim.Optimizer]
    batches: Batches[D]
    passes: int = 1
    learning_rate: Callable[[Step], float] | None = None
    small: bool = False


@dataclass(frozen=True, kw_only=True)
class FullPass(Generic[D]):
    """One update that looks at all users at once, or at none: a closed form, an EM iteration, a prior refreshed.

    Args:
        name: in progress and history.
        run: given the training users and a generator; returns terms to report.
        every: run in every epoch whose number, counted from 1, is a multiple of this.
    """

    name: str
    run: Callable[[D, torch.Generator], Mapping[str, float]]
    every: int = 1


@dataclass(frozen=True, kw_only=True)
class Pretraining(Generic[D]):
    """Another model that is trained before the first epoch, by the same loop: with progress, checkpoints and a clean interrupt.

    Args:
        name: in progress and history.
        model: what is trained (a `Trainable`).
        rows: the rows that it is trained on, and the seed of that training, of the training rows and a generator.
        done: what follows; returns terms to report.
    """

    name: str
    model: Any
    rows: Callable[[D, torch.Generator], tuple[Rows, int]]
    done: Callable[[D], Mapping[str, float]]


Phase = GradientPhase[D] | FullPass[D]


class Trainer(Generic[D]):
    """What trains one model on one set of rows: its phases, and all state that is not the model's.

    Making one and looking at it changes nothing; `fit` runs it.

    Args:
        phases: of every epoch, in order.
        epochs: at most; 1 for a closed form.
        first: full passes and trainings of other models that run once, before the first epoch.
        closed_form: whether one pass finds the answer: then there is nothing to stop early, and no validation between epochs.

    Raises:
        FitError: no phase, two of one name, or a closed form with gradient steps or more than one epoch.
    """

    def __init__(
        self,
        *phases: Phase[D],
        epochs: int = 1,
        first: Sequence[FullPass[D] | Pretraining[D]] = (),
        closed_form: bool = False,
    ) -> None:
        names = [phase.name for phase in phases]
        if not names or len(set(names)) != len(names):
            raise FitError(f"a trainer needs phases of different names, not {names}")
        if closed_form and (epochs != 1 or any(isinstance(phase, GradientPhase) for phase in phases)):
            raise FitError("a closed form is one full pass")
        self.phases, self.epochs, self.first, self.closed_form = phases, epochs, tuple(first), closed_form

    def state(self) -> dict[str, Tensor]:
        """What is carried from one epoch to the next besides what the model learns: part of a checkpoint, not of a run."""
        return {}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what `state` gave."""
