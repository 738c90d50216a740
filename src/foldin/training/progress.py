"""Callbacks of a running training, and its result."""

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

# A figure of merit on held-out rows, larger is better: what chooses the best epoch. It alone holds the rows.
Validation = Callable[[M], float]


class Progress:
    """Told what training does; does nothing. Override what is of interest."""

    def pretraining(self, name: str) -> None:
        """What follows is the training of another model first, by its name; of the model itself, where that is empty."""

    def begin(self, trainer: Trainer[Any], epochs: int, done: int) -> None:
        """Training starts, or continues after `done` epochs."""

    def step(self, phase: str, done: int, total: int, terms: Mapping[str, Tensor]) -> None:
        """`done` of an epoch's `total` steps of a phase are taken."""

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
        """In words."""
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
        records: one an epoch, those before a resume included.
        best_epoch: whose weights the model holds now; None without validation.
        best_metric: the validation metric there.
        stopped: why training ended.
        seconds: in all, what comes before the first epoch and validation included.
    """

    records: tuple[EpochRecord, ...]
    best_epoch: int | None
    best_metric: float | None
    stopped: Stopped
    seconds: float
