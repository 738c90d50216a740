"""Callbacks during training, and the result of training."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

from foldin.tensors import Tensor
from foldin.training.checkpoint import EpochRecord
from foldin.training.trainable import Trainable
from foldin.training.trainer import Trainer

__all__ = ["FitResult", "Progress", "Stopped", "Validation"]

M = TypeVar("M", bound=Trainable[Any, Any])

# A metric on held-out users, larger is better, which chooses the best epoch. Only this function holds the held-out data; a
# trainer that learns from them takes them from here (`Trainer.prepared`).
Validation = Callable[[M], float]


class Progress:
    """Callbacks of the training loop, which do nothing here; a subclass overrides those that it needs."""

    def pretraining(self, name: str) -> None:
        """Training of another model, by its name, begins; an empty name means that it has ended."""

    def begin(self, trainer: Trainer[Any], epochs: int, done: int) -> None:
        """Training begins, or continues after `done` epochs."""

    def step(self, phase: str, done: int, total: int, terms: Mapping[str, Tensor]) -> None:
        """`done` of the `total` steps of a phase in this epoch have been taken."""

    def epoch(self, record: EpochRecord) -> None:
        """An epoch has ended."""


class Stopped(StrEnum):
    """Why training ended."""

    FINISHED = "finished"
    PATIENCE = "patience"
    INTERRUPTED = "interrupted"
    ASKED = "asked"

    @property
    def sentence(self) -> str:
        """The reason as a sentence."""
        return {
            Stopped.FINISHED: "All epochs were run.",
            Stopped.PATIENCE: "The validation metric had not improved for as many epochs as patience allows.",
            Stopped.INTERRUPTED: "Training was interrupted.",
            Stopped.ASKED: "The caller asked for no further epoch.",
        }[self]


@dataclass(frozen=True, kw_only=True)
class FitResult:
    """How training went.

    Args:
        records: record of each epoch, including those before a resume.
        best_epoch: epoch whose weights the model now holds; None without validation.
        best_metric: validation metric of that epoch; None without validation.
        stopped: why training ended.
        seconds: total duration, including passes before the first epoch and validation.
        epochs: largest number of epochs, over which schedules ran.
        precision: number format of the matrix products of gradient steps.
    """

    records: tuple[EpochRecord, ...]
    best_epoch: int | None
    best_metric: float | None
    stopped: Stopped
    seconds: float
    epochs: int
    precision: str = "float32"
