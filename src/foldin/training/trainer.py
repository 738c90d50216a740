"""Trainers: the description of how a model is trained, and all state that exists only during training.

A trainer consists of a number of epochs with the same sequence of phases: gradient steps over batches of users (or of other
examples), or a full pass over all of them. Mult-VAE has one phase; RecVAE trains its encoder, updates its prior and trains its
decoder; EM and closed forms are full passes.
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
    "Divided",
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

# The batches of one pass: indices of training users, in the order in which they are used.
Batches = Callable[[D, np.random.Generator], Sequence[Int64[Array, " _batch"]]]


def shuffled(size: int) -> Batches[Rows]:
    """Batches of `size` users each, all users in random order."""

    def batches(train: Rows, rng: np.random.Generator) -> list[Int64[Array, " _batch"]]:
        order = np.concatenate([window[rng.permutation(len(window))] for window in train.windows(rng)])
        return [order[at : at + size] for at in range(0, len(train), size)]

    return batches


@dataclass(frozen=True)
class Step:
    """Position of a gradient step in training; a schedule is a pure function of it.

    Args:
        number: gradient steps of this phase before this one, over the whole run; with those of epochs that it did not begin with.
        planned: gradient steps of this phase in the whole run, if it does not stop early and every pass has as many batches as
            the first.
        users: indices of the training users in the batch.
    """

    number: int
    planned: int
    users: Int64[Array, " batch"] = field(default_factory=lambda: np.empty(0, np.int64), compare=False)

    @property
    def share(self) -> float:
        """Share of the planned steps that have been taken, in [0, 1]."""
        return min(1.0, self.number / self.planned)

    def risen(self, over: float) -> float:
        """Share of its cap that a weight has reached, rising linearly to 1 over the first share `over` of the planned steps."""
        return min(1.0, self.share / over) if over > 0 else 1.0


def falling(rate: float, over: float) -> Callable[[Step], float]:
    """Learning rate as a function of the step: it falls linearly to 0 over the last share `over` of the planned steps."""
    return lambda step: rate * min(1.0, (1.0 - step.share) / over) if over else rate


class Loss(NamedTuple):
    """The loss that a gradient step minimizes, and the terms to report (nats per user unless a name says otherwise)."""

    value: Float[Tensor, ""]
    terms: Mapping[str, Float[Tensor, ""]]


@dataclass(frozen=True)
class Divided(Generic[D]):
    """How the loss of a batch divides among workers: it is a mean over the entries of an axis, each of one row.

    Args:
        counts: function of a batch; returns the number of entries of each row, by the name of the axis, for every axis besides
            `users` along which the loss draws (see `workers.drawn`) or is a mean.
        mean_over: the axis over which the loss and its terms are means.
    """

    counts: Callable[[D], Mapping[str, Int64[Array, " rows"]]]
    mean_over: str = "users"


@dataclass(frozen=True, kw_only=True)
class GradientPhase(Generic[D]):
    """Passes over the training users in batches, with an optimizer step for each batch.

    Args:
        name: name in progress and history.
        parameters: parameters to optimize, by name; no others may need a gradient.
        loss: function of a batch of users, the step, and the generator of all randomness.
        optimizer: function that makes the optimizer of `parameters`, whose state is part of a checkpoint.
        batches: function that gives the batches of a pass; they contain every user with something to learn from.
        passes: number of passes over the users in each epoch.
        learning_rate: function of the step; None for the constant rate of the optimizer.
        small: whether batches are so small that PyTorch's operations are faster on one thread.
        divided: how a batch divides among workers; the reason, as the end of a sentence, if only one worker can train.
        needs_float32: why the loss cannot have matrix products in bfloat16, as the end of a sentence; None if it can. Under
            `torch.autocast`, it then converts the outputs of layers to float32 before sums over items, events or dimensions.
    """

    name: str
    parameters: Mapping[str, torch.nn.Parameter]
    loss: Callable[[D, Step, torch.Generator], Loss]
    optimizer: Callable[[Mapping[str, torch.nn.Parameter]], torch.optim.Optimizer]
    batches: Batches[D]
    passes: int = 1
    learning_rate: Callable[[Step], float] | None = None
    small: bool = False
    divided: Divided[D] | str = "its loss is not declared as a mean over users or events"
    needs_float32: str | None = "its loss is not declared to keep its sums in float32 beside such products"


@dataclass(frozen=True, kw_only=True)
class FullPass(Generic[D]):
    """One update from all users at once, or from none: a closed form, an EM iteration, the update of a prior.

    Args:
        name: name in progress and history.
        run: function of the training users and a generator; returns the terms to report.
        every: the update runs in epochs whose number, counted from 1, is a multiple of this.
    """

    name: str
    run: Callable[[D, torch.Generator], Mapping[str, float]]
    every: int = 1


@dataclass(frozen=True, kw_only=True)
class Pretraining(Generic[D]):
    """Training of another model before the first epoch, by the same loop: with progress, checkpoints and a clean interrupt.

    Args:
        name: name in progress and history.
        model: the model to train first (a `Trainable`).
        rows: function of the training users and a generator; returns the data and the seed of this training.
        done: function of the training users that runs after this training; returns the terms to report.
        validation: metric that chooses the best epoch of this training; None for the last epoch.
        patience: number of epochs without a better metric after which this training stops; None to never stop early.
        epochs: function called when this training begins; returns its largest number of epochs, None for its trainer's number.
        last_epoch: function called when this training begins; returns the epoch after which it ends, None for all.
        ended: function of the result of this training (a `FitResult`) that runs before `done`.
    """

    name: str
    model: Any
    rows: Callable[[D, torch.Generator], tuple[Rows, int]]
    done: Callable[[D], Mapping[str, float]]
    validation: Callable[[Any], float] | None = None
    patience: int | None = None
    epochs: Callable[[], int | None] = lambda: None
    last_epoch: Callable[[], int | None] = lambda: None
    ended: Callable[[Any], None] = lambda result: None


Phase = GradientPhase[D] | FullPass[D]


class Trainer(Generic[D]):
    """Description of how a model is trained on some data: its phases, and all state that is not the model's.

    Creating a trainer changes nothing; `fit` runs it.

    Args:
        phases: phases of every epoch, in order.
        epochs: largest number of epochs; 1 for a closed form.
        first: full passes and trainings of other models that run once, before the first epoch.
        closed_form: whether a single pass gives the solution, so that there is no validation to stop early by.

    Raises:
        FitError: there is no phase, two have the same name, or a closed form has gradient steps or several epochs.
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

    def prepared(
        self, *, validation: Callable[[Any], float] | None, patience: int | None, epochs: int | None
    ) -> "Trainer[D]":
        """The trainer that `fit` runs with these of its arguments: this one.

        A trainer that trains other models, or learns from the validation users, returns another one here.
        """
        return self

    def state(self) -> dict[str, Tensor]:
        """Tensors that training keeps between epochs besides the model's; stored in a checkpoint, but not in a run."""
        return {}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Continue from a result of `state`."""
