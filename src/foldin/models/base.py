"""The one contract: what every recommender is."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

import numpy as np
import torch

from foldin.blocks import log_total, top_k
from foldin.data import Catalog, Histories, Indices, check_indices, count_of
from foldin.errors import ConfigError, FitError, ShapeError
from foldin.memory import require_memory
from foldin.tensors import Array, Float, Int, Int64, Tensor
from foldin.training import Config, Trainable

__all__ = ["LEAST_SHARE", "Described", "Exportable", "InnerProduct", "Recommender", "Segmented", "TopK"]

_BLOCK_BYTES = 64 << 20
# Of an item's probability, in single precision: the logarithm of 0 would be −∞, which means "not to be listed".
LEAST_SHARE = 1e-37
C = TypeVar("C", bound=Config)


@dataclass(frozen=True)
class TopK:
    """Lists of recommendations, best first.

    Their length, k here, is what was asked for, or the number of items of the catalog where that is less.

    Args:
        items: item indices; −1 where a list is shorter.
        scores: for a likelihood model log p(next item | history, the item is one that may be listed), in nats; −inf
            in the empty places. For a model without a density its own scores, which only rank.
    """

    items: Int[Array, "users k"]
    scores: Float[Array, "users k"]


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
        self._check(train)
        if len(train) == 0 or train.n_events == 0:
            raise FitError("there is nobody to train on")
        require_memory(self.training_bytes(train), f"training {self._called()}", self.smaller, self.device)

    def _check(self, histories: Histories) -> None:
        if not isinstance(histories, Histories):
            raise ShapeError(f"histories were expected, not {type(histories).__name__}; see Histories.from_lists")
        if histories.n_items != self.n_items:
            raise ShapeError(f"the model knows {self.n_items} items, the histories are over {histories.n_items}")

    def block(self) -> int:
        """People to score at once, so that a block of scores takes about 64 MB."""
        return int(min(1024, max(1, _BLOCK_BYTES // (4 * self.n_items))))

    @torch.no_grad()
    def scores(self, histories: Histories) -> Float[Tensor, "users items"]:
        """log p(next item | history) in nats, normalised over the catalogue; without a density, scores that only rank.

        Deterministic: no dropout, no noise.

        Raises:
            ShapeError: histories over another catalogue.
        """
        self._check(histories)
        return self._normalized(self._logits(histories), histories)

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

    def _tempered(self, logits: Float[Tensor, "users items"], histories: Histories) -> Float[Tensor, "users items"]:
        """The logits, divided by the temperature in their own memory where there is one."""
        if self.temperature is None:
            return logits
        scale = torch.from_numpy(np.where(histories.lengths > 0, 1.0 / self.temperature, 1.0))
        return logits.mul_(scale.to(logits).unsqueeze(1))

    def _normalized(self, logits: Float[Tensor, "users items"], histories: Histories) -> Float[Tensor, "users items"]:
        """`scores` of logits."""
        logits = self._tempered(logits, histories)
        return torch.log_softmax(logits, dim=1) if self.has_likelihood else logits.clone()

    @torch.no_grad()
    def masked_scores(
        self, histories: Histories, *, seen: Histories | None = None, banned: Int64[Array, " banned"] | None = None
    ) -> Float[Tensor, "users items"]:
        """Scores up to a constant a person, with −inf for items in `seen` and in `banned`.

        The memory is used again by the next call, and may be written to.
        """
        self._check(histories)
        logits = self._tempered(self._logits(histories), histories)
        if seen is not None:
            self._check(seen)
            items, offsets = seen.tensors(self.device)
            users = torch.repeat_interleave(torch.arange(len(seen), device=self.device), offsets.diff())
            logits.view(-1).index_fill_(0, users * self.n_items + items, -torch.inf)
        if banned is not None and len(banned):
            logits.index_fill_(1, torch.from_numpy(banned).to(self.device), -torch.inf)
        return logits

    @torch.no_grad()
    def recommend(
        self,
        histories: Histories,
        k: int,
        *,
        exclude_seen: bool = True,
        seen: Histories | None = None,
        allow: Indices | None = None,
        deny: Indices | None = None,
    ) -> TopK:
        """The k best items for each person, ties broken by item index; memory is bounded by a block of people.

        A k beyond the catalog is the catalog's size. Somebody of whose history the model has learned nothing is given the most
        popular items (see `PopularStart`), or what the model says of an empty history.

        Args:
            histories: what each person took, oldest first; any person, any length.
            k: length of the lists.
            exclude_seen: leave out what is in `histories`.
            seen: leave out these instead.
            allow: only these items may be listed: their indices, or a mask of booleans with an entry for each item.
            deny: these may not; in the same way.

        Raises:
            ShapeError: histories over another catalogue, a k that is not a whole number of at least 1, `allow` or `deny` that
                are neither indices of items nor a mask of them, or `seen` of another number of people.
        """
        self._check(histories)
        k = self._places(k)
        banned = self._banned(allow, deny)
        if seen is not None:
            self._check(seen)
        if seen is not None and len(seen) != len(histories):
            raise ShapeError(f"the items seen are those of {len(seen)} people, the histories of {len(histories)}")
        hidden = (seen if seen is not None else histories) if exclude_seen else None
        lists = np.full((len(histories), k), -1, dtype=np.int64)
        values = np.full((len(histories), k), -np.inf, dtype=np.float32)
        step = self.block()
        for start in range(0, len(histories), step):
            part = histories.rows(start, start + step)
            mask = None if hidden is None else hidden.rows(start, start + step)
            logits = self.masked_scores(part, seen=mask, banned=banned)
            top, items = top_k(logits, k)
            if self.has_likelihood:
                top = top - log_total(logits, top[:, :1], items[:, :1])
            lists[start : start + step] = items.cpu().numpy()
            values[start : start + step] = top.cpu().numpy()
        return TopK(lists, np.where(lists < 0, -np.inf, values).astype(np.float32))

    def _places(self, k: int) -> int:
        """The length of lists: no longer than the catalog."""
        return min(count_of(k, "k"), self.n_items)

    def _banned(self, allow: Indices | None, deny: Indices | None) -> Int64[Array, " banned"]:
        barred = np.zeros(self.n_items, dtype=bool)
        for name, chosen in (("allow", allow), ("deny", deny)):
            if chosen is None:
                continue
            at = check_indices(chosen, self.n_items, name)
            if name == "allow":
                barred[:] = True
                barred[at] = False
            else:
                barred[at] = True
        return np.flatnonzero(barred)
