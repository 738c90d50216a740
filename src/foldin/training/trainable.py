"""What can be trained: settings, tensors by name, and a trainer. `fit` knows nothing else of a model."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Generic, TypeVar

import torch

from foldin.errors import ConfigError, FitError, RunError
from foldin.memory import building
from foldin.rows import Rows
from foldin.tensors import Tensor
from foldin.training.config import Config
from foldin.training.described import described
from foldin.training.trainer import Trainer

__all__ = ["Trainable"]

C = TypeVar("C", bound=Config)
D = TypeVar("D", bound=Rows)


class Trainable(ABC, Generic[C, D]):
    """A model with settings C, learned from rows D.

    Args:
        config: settings; the defaults of `Config` when None.
        seed: of the initial weights.
        device: where it computes.

    Raises:
        CapacityError: its tensors need more memory than is free.

    A subclass sets `Config` and gives `_build`, `trainer` and `tensors`.
    """

    Config: ClassVar[type[Any]]
    smaller: ClassVar[str] = "try smaller settings (--set)"  # what to do where it does not fit into memory

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        config = cls.__dict__.get("Config")
        if config is not None and "model_class" not in config.__dict__:
            config.model_class = cls  # a configuration knows what it configures
            if not config.__doc__ or config.__doc__.startswith(f"{config.__name__}("):  # what a dataclass writes itself
                config.__doc__ = described(config, cls)

    def __init__(self, config: C | None = None, *, seed: int = 0, device: str | torch.device = "cpu") -> None:
        wanted = type(self).Config
        if config is not None and not isinstance(config, wanted):
            raise ConfigError(f"{type(self).__name__} takes a {wanted.__name__}, not a {type(config).__name__}")
        self.config: C = wanted() if config is None else config
        self.device = torch.device(device)
        with building(self._called(), self.smaller, self.device):
            self._build(torch.Generator().manual_seed(seed))

    def _called(self) -> str:
        return type(self).__name__

    @abstractmethod
    def _build(self, generator: torch.Generator) -> None:
        """Create parameters and tensors; `generator` lives on the CPU, so that a seed means the same everywhere."""

    @abstractmethod
    def trainer(self, train: D) -> Trainer[D]:
        """What trains it on these rows; nothing is changed by asking."""

    @abstractmethod
    def tensors(self) -> dict[str, Tensor]:
        """Everything learned, by name: the live tensors, not copies."""

    def check_training(self, train: D) -> None:
        """Whether it can be trained on these rows.

        Raises:
            FitError: there are none.
        """
        if len(train) == 0:
            raise FitError("there is nothing to train on")

    def state(self) -> dict[str, Tensor]:
        """Copies of everything learned, on the CPU."""
        return {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in self.tensors().items()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take over what another model of the same settings has learned.

        Raises:
            RunError: other names or shapes.
        """
        own = self.tensors()
        if own.keys() != state.keys():
            raise RunError(f"{type(self).__name__}: the stored tensors are {sorted(state)}, expected {sorted(own)}")
        for name, tensor in own.items():
            if tensor.shape != state[name].shape or tensor.dtype != state[name].dtype:
                raise RunError(
                    f"{type(self).__name__}: tensor {name!r} is stored as {state[name].dtype} {tuple(state[name].shape)}, "
                    f"expected {tensor.dtype} {tuple(tensor.shape)}"
                )
        with torch.no_grad():
            for name, tensor in own.items():
                tensor.copy_(state[name])
