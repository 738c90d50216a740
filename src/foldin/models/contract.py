"""The interface of all recommenders."""

import math
from abc import abstractmethod
from typing import ClassVar, Generic, TypeVar

import numpy as np
import torch

from foldin.data import Histories, count_of
from foldin.display import Display, Displayed
from foldin.errors import ConfigError, FitError, ShapeError
from foldin.memory import require_memory
from foldin.tensors import Float, Tensor
from foldin.training import Config, Trainable, flat, setting_text

__all__ = ["LEAST_SHARE", "Recommender"]

_BLOCK_BYTES = 64 << 20
# Least probability of an item in single precision, since log 0 = −∞ means "not to be listed".
LEAST_SHARE = 1e-37
C = TypeVar("C", bound=Config)


class Recommender(Trainable[C, Histories], Displayed, Generic[C]):
    """A model of a user's next item given the history alone, so that known and new users are treated alike.

    Args:
        n_items: size of the catalog.
        config: settings; the defaults of `Config` when None.
        seed: seed of the initial weights.
        device: device on which the model computes.

    A subclass sets `Config`, `has_likelihood` and `summary`, and implements `trainer`, `tensors` and `_logits`.
    """

    has_likelihood: bool  # set by the class, or by the settings of this model
    summary: ClassVar[str]
    smaller = "try smaller settings (--set), or leave out rare items (--item-events)"
    temperature: float | None = None  # set after training by `calibrate`; None before

    def __init__(
        self, n_items: int, config: C | None = None, *, seed: int = 0, device: str | torch.device = "cpu"
    ) -> None:
        self.n_items = count_of(n_items, "the number of items of a model's catalog")
        super().__init__(config, seed=seed, device=device)

    def _called(self) -> str:
        return f"{type(self).__name__} of {self.n_items:,} items"

    def display(self) -> Display:
        numbers = sum(one.numel() for one in self.tensors().values())
        defaults = flat(type(self.config)())
        changed = [
            (name, one) for name, one in flat(self.config).items() if name not in defaults or one != defaults[name]
        ]
        return Display(
            title=f"{self._called()}, {numbers:,} parameters; {'changed' if changed else 'default'} settings",
            head=("", ""),
            rows=[(name, setting_text(one) or "(none)") for name, one in changed],
            notes=[] if self.temperature is None else [f"calibrated with temperature {self.temperature:.4g}"],
        )

    def lacks(self, capability: type) -> str | None:
        """Why this model lacks a capability that its class has; None if it has it (`models/capability.py`)."""
        return None

    def training_bytes(self, train: Histories) -> float:
        """Memory in bytes that training needs besides the model: the gradient and two moments of each parameter."""
        return 12.0 * sum(one.numel() for one in self.tensors().values() if isinstance(one, torch.nn.Parameter))

    @abstractmethod
    def _logits(self, histories: Histories) -> Float[Tensor, "users items"]:
        """Scores, up to a constant for each user. The next call may overwrite the memory, and the caller may write to it."""

    def check_training(self, train: Histories) -> None:
        """Raise an error unless the model can be trained on these users.

        Raises:
            FitError: no user has an event.
            ShapeError: the histories are over another catalog.
            CapacityError: training needs more memory than is free.
        """
        self.check_histories(train)
        if len(train) == 0 or train.n_events == 0:
            raise FitError("there is no user to train on")
        require_memory(self.training_bytes(train), f"training {self._called()}", self.smaller, self.device)

    def check_histories(self, histories: Histories) -> None:
        """Raise an error unless these are histories over the model's catalog.

        Raises:
            ShapeError: they are not.
        """
        if not isinstance(histories, Histories):
            raise ShapeError(f"histories were expected, not {type(histories).__name__}; see Histories.from_lists")
        if histories.n_items != self.n_items:
            raise ShapeError(f"the model knows {self.n_items} items, the histories are over {histories.n_items}")

    def block(self) -> int:
        """Number of users to score at once, so that a block of scores takes about 64 MB."""
        return int(min(1024, max(1, _BLOCK_BYTES // (4 * self.n_items))))

    @torch.no_grad()
    def logits(self, histories: Histories, *, reuse: bool = False) -> Float[Tensor, "users items"]:
        """Scores, up to a constant for each user, divided by the temperature if one is set.

        Deterministic: no dropout, no noise. For a model with a density, their log-softmax is log p(next item | history).

        Args:
            reuse: whether the result may be in the model's memory, which the next call overwrites; the caller may write to it.
                Otherwise it is a copy.

        Raises:
            ShapeError: the histories are over another catalog.
        """
        self.check_histories(histories)
        found = self.tempered(self._logits(histories), histories)
        return found if reuse else found.clone()

    def calibrate(self, temperature: float) -> None:
        """Set the temperature of p(next item | history) = softmax(logits / temperature), a density for any training loss.

        The order of lists stays the same. The scores of a user without a history are not divided by it. After another
        training, it must be fitted again. See `evaluation.fit_temperature`.

        Raises:
            ConfigError: the temperature is not a positive number.
        """
        if not (math.isfinite(temperature) and temperature > 0.0):
            raise ConfigError(f"a temperature must be a positive number, not {temperature:g}")
        self.temperature, self.has_likelihood = temperature, True

    def tempered(self, logits: Float[Tensor, "users items"], histories: Histories) -> Float[Tensor, "users items"]:
        """The logits, divided in place by the temperature if one is set."""
        if self.temperature is None:
            return logits
        scale = torch.from_numpy(np.where(histories.lengths > 0, 1.0 / self.temperature, 1.0))
        return logits.mul_(scale.to(logits).unsqueeze(1))
