"""The one contract: what every recommender is."""

import math
from abc import abstractmethod
from typing import ClassVar, Generic, TypeVar

import numpy as np
import torch

from foldin.data import Histories, count_of
from foldin.errors import ConfigError, FitError, ShapeError
from foldin.memory import require_memory
from foldin.tensors import Float, Tensor
from foldin.training import Config, Trainable

__all__ = ["LEAST_SHARE", "Recommender"]

_BLOCK_BYTES = 64 << 20
# Of an item's probability, in single precision: the logarithm of 0 would be −∞, which means "not to be listed".
LEAST_SHARE = 1e-37
C = TypeVar("C", bound=Config)


class Recommender(Trainable[C, Histories], Generic[C]):
    """A model of what a user picks next, given the history alone: known users and new ones are treated alike.

    Args:
        n_items: size of the catalog.
        config: settings; the defaults of `Config` when None.
        seed: of the initial weights.
        device: where it computes.

    A subclass sets `Config`, `has_likelihood` and `summary`, and gives `trainer`, `tensors` and `_logits`.
    """

    has_likelihood: bool  # of the class, or of the settings of this model
    summary: ClassVar[str]
    smaller = "try smaller settings (--set), or leave out rare items (--item-events)"
    temperature: float | None = None  # fitted after training, where it was: see `calibrate`

    def __init__(
        self, n_items: int, config: C | None = None, *, seed: int = 0, device: str | torch.device = "cpu"
    ) -> None:
        self.n_items = count_of(n_items, "the number of items of a model's catalog")
        super().__init__(config, seed=seed, device=device)

    def _called(self) -> str:
        return f"{type(self).__name__} of {self.n_items:,} items"

    def lacks(self, capability: type) -> str | None:
        """Why a model of these settings lacks a capability that its class has; None where it has it (`models/capability.py`)."""
        return None

    def training_bytes(self, train: Histories) -> float:
        """Memory that training needs beside what the model holds: the gradient and two moments of each parameter."""
        return 12.0 * sum(one.numel() for one in self.tensors().values() if isinstance(one, torch.nn.Parameter))

    @abstractmethod
    def _logits(self, histories: Histories) -> Float[Tensor, "users items"]:
        """Scores up to a constant a user. The memory may be used again by the next call, and may be written to."""

    def check_training(self, train: Histories) -> None:
        """Whether it can be trained on these users.

        Raises:
            FitError: no user has an event.
            ShapeError: they are over another catalog.
            CapacityError: training needs more memory than is free.
        """
        self.check_histories(train)
        if len(train) == 0 or train.n_events == 0:
            raise FitError("there is no user to train on")
        require_memory(self.training_bytes(train), f"training {self._called()}", self.smaller, self.device)

    def check_histories(self, histories: Histories) -> None:
        """Whether these are histories over the model's catalog.

        Raises:
            ShapeError: they are not.
        """
        if not isinstance(histories, Histories):
            raise ShapeError(f"histories were expected, not {type(histories).__name__}; see Histories.from_lists")
        if histories.n_items != self.n_items:
            raise ShapeError(f"the model knows {self.n_items} items, the histories are over {histories.n_items}")

    def block(self) -> int:
        """Users to score at once, so that a block of scores takes about 64 MB."""
        return int(min(1024, max(1, _BLOCK_BYTES // (4 * self.n_items))))

    @torch.no_grad()
    def logits(self, histories: Histories, *, reuse: bool = False) -> Float[Tensor, "users items"]:
        """Scores up to a constant a user, divided by the temperature where there is one.

        Deterministic: no dropout, no noise. Of a model with a density, log p(next item | history) is their log-softmax.

        Args:
            reuse: whether the memory may be that of the model's own, which the next call uses again; the caller may write to it.
                Else it is the caller's.

        Raises:
            ShapeError: histories over another catalog.
        """
        self.check_histories(histories)
        found = self.tempered(self._logits(histories), histories)
        return found if reuse else found.clone()

    def calibrate(self, temperature: float) -> None:
        """From now on, p(next item | history) = softmax(logits / temperature): a density, whatever the model was trained by.

        Lists keep their order. A user without a history has no scores of their own, and is given no temperature. Training
        anew needs a new one. See `evaluation.fit_temperature`.

        Raises:
            ConfigError: a temperature that is not a positive number.
        """
        if not (math.isfinite(temperature) and temperature > 0.0):
            raise ConfigError(f"a temperature must be a positive number, not {temperature:g}")
        self.temperature, self.has_likelihood = temperature, True

    def tempered(self, logits: Float[Tensor, "users items"], histories: Histories) -> Float[Tensor, "users items"]:
        """The logits, divided by the temperature in their own memory where there is one."""
        if self.temperature is None:
            return logits
        scale = torch.from_numpy(np.where(histories.lengths > 0, 1.0 / self.temperature, 1.0))
        return logits.mul_(scale.to(logits).unsqueeze(1))
