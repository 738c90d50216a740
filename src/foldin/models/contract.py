"""The one contract: what every recommender is."""

import math
from abc import ABC, abstractmethod
from typing import ClassVar, Generic, TypeVar

import numpy as np
import torch

from foldin.data import Catalog, Histories, count_of
from foldin.errors import ConfigError, FitError, ShapeError
from foldin.memory import require_memory
from foldin.tensors import Array, Bool, Float, Int, Int64, Tensor
from foldin.training import Config, Trainable

__all__ = ["LEAST_SHARE", "Described", "Exportable", "InnerProduct", "ItemTokens", "Recommender", "Segmented"]

_BLOCK_BYTES = 64 << 20
# Of an item's probability, in single precision: the logarithm of 0 would be −∞, which means "not to be listed".
LEAST_SHARE = 1e-37
C = TypeVar("C", bound=Config)


class Exportable(ABC):
    """A recommender whose scores can be written down as plain tensor operations, for another runtime to execute."""

    @abstractmethod
    def padded_logits(self, history: Int[Tensor, "users length"]) -> Float[Tensor, "users items"]:
        """As `_logits`, of a rectangle of items, oldest first, with −1 on the right where a history is shorter."""


class Described(ABC):
    """A recommender that looks at what is known of the items besides who took them."""

    @abstractmethod
    def describe(self, catalog: Catalog) -> None:
        """Take what it needs from the catalogue; before training."""


class InnerProduct(ABC):
    """A recommender whose scores are ⟨query of a person, vector of an item⟩ + bias: one that an index can search.

    A person with no history may be scored otherwise.
    """

    @abstractmethod
    def queries(self, histories: Histories) -> Float[Tensor, "users width"]:
        """Each person's query."""

    @abstractmethod
    def item_vectors(self) -> tuple[Float[Tensor, "items width"], Float[Tensor, " items"]]:
        """(vectors, biases) of all items."""


class ItemTokens(ABC):
    """A recommender whose items are sequences of tokens, which it generates one by one: one that a beam can search."""

    @abstractmethod
    def branching(self) -> int:
        """Tokens of a level, at most."""

    @abstractmethod
    def beam_search(
        self,
        histories: Histories,
        paths: int,
        *,
        allowed: Bool[Tensor, " items"],
        seen: tuple[Int[Tensor, " pairs"], Int[Tensor, " pairs"]],
    ) -> tuple[Float[Tensor, "users found"], Int[Tensor, "users found"]]:
        """(log p, items) of the best items that a beam finds, best first; −∞ and −1 where there are fewer.

        log p is that of the item given that it is one that may be listed, in nats, and exact.

        Args:
            histories: each with an event.
            paths: kept at each level.
            allowed: items that may be listed.
            seen: (users, items), pairs that may not; each pair once.
        """


class Segmented(ABC):
    """A recommender made of parts that can be described by their items: classes of people, topics, factors."""

    @abstractmethod
    def segments(self) -> tuple[Float[Array, " segments"], Float[Array, "segments items"]]:
        """(share of each part, its distribution over items)."""

    def telling_items(self, k: int) -> Int64[Array, "segments k"]:
        """The k items that say most about each part: by p(i | part) log(p(i | part) / p(i)), its share of their KL."""
        weights, shares = self.segments()
        overall = weights @ shares
        telling = shares * np.log(np.maximum(shares, 1e-300) / np.maximum(overall, 1e-300))
        return np.argsort(-telling, axis=1, kind="stable")[:, :k]


class Recommender(Trainable[C, Histories], Generic[C]):
    """A model of what a person picks next, given the history alone: known people and new ones are treated alike.

    Args:
        n_items: size of the catalogue.
        config: settings; the defaults of `Config` when None.
        seed: of the initial weights.
        device: where it computes.

    A subclass sets `Config`, `has_likelihood` and `summary`, and gives `plan`, `tensors` and `_logits`.
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

    def training_bytes(self, train: Histories) -> float:
        """Memory that training needs beside what the model holds: the gradient and two moments of each parameter."""
        return 12.0 * sum(one.numel() for one in self.tensors().values() if isinstance(one, torch.nn.Parameter))

    @abstractmethod
    def _logits(self, histories: Histories) -> Float[Tensor, "users items"]:
        """Scores up to a constant a person. The memory may be used again by the next call, and may be written to."""

    def check_training(self, train: Histories) -> None:
        """Whether it can be trained on these people.

        Raises:
            FitError: nobody has an event.
            ShapeError: they are over another catalogue.
            CapacityError: training needs more memory than is free.
        """
        self.check_histories(train)
        if len(train) == 0 or train.n_events == 0:
            raise FitError("there is nobody to train on")
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
        """People to score at once, so that a block of scores takes about 64 MB."""
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
