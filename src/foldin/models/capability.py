"""What a model can do beyond scores: protocols, looked up in one place.

`capability(model, PosteriorSampler)` gives the model as what can be asked for draws, or None. A class has a capability when it
has what the protocol names, of whatever package it comes; where that depends on its settings, `Recommender.lacks` says so.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar, Protocol, TypeVar, runtime_checkable

import numpy as np
import torch

from foldin.data import Catalog, Histories
from foldin.errors import ConfigError
from foldin.inference import Bound, LatentModel
from foldin.models.contract import Recommender
from foldin.models.streams import Streams
from foldin.nn import CodeUse
from foldin.tensors import Array, Bool, Float, Int, Int64, Tensor

__all__ = [
    "BoundedLikelihood",
    "Components",
    "DotProduct",
    "ItemFeatures",
    "ItemTokens",
    "LatentPosterior",
    "OnnxGraph",
    "PosteriorSampler",
    "capability",
    "has_capability",
    "required",
    "top_items",
]

P = TypeVar("P")


@runtime_checkable
class OnnxGraph(Protocol):
    """Its scores can be written down as plain tensor operations, for another runtime to execute."""

    @abstractmethod
    def padded_logits(self, history: Int[Tensor, "users length"]) -> Float[Tensor, "users items"]:
        """As `_logits`, of a rectangle of items, oldest first, with −1 on the right where a history is shorter."""


@runtime_checkable
class ItemFeatures(Protocol):
    """It looks at what is known of the items besides who took them."""

    @abstractmethod
    def describe(self, catalog: Catalog) -> None:
        """Take what it needs from the catalog; before training."""


@runtime_checkable
class DotProduct(Protocol):
    """Its scores are ⟨query of a user, vector of an item⟩ + bias: an index can search it.

    A user with no history may be scored otherwise.
    """

    @abstractmethod
    def queries(self, histories: Histories) -> Float[Tensor, "users dim"]:
        """Each user's query."""

    @abstractmethod
    def item_vectors(self) -> tuple[Float[Tensor, "items dim"], Float[Tensor, " items"]]:
        """(vectors, biases) of all items."""


@runtime_checkable
class ItemTokens(Protocol):
    """Its items are sequences of tokens, which it generates one by one: a beam can search it."""

    @abstractmethod
    def item_tokens(self) -> Int64[Array, "items levels"]:
        """The tokens of each item.

        Raises:
            FitError: they have not been learned yet.
        """

    @abstractmethod
    def token_use(self) -> CodeUse:
        """How the tokens of each level are used."""

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


@runtime_checkable
class Components(Protocol):
    """It is made of components that can be described by their items: classes of users, topics, factors."""

    @abstractmethod
    def components(self) -> tuple[Float[Array, " components"], Float[Array, "components items"]]:
        """(share of each component, its distribution over items)."""


@runtime_checkable
class PosteriorSampler(Protocol):
    """It has a posterior over what it does not know of a user (and of itself, where it keeps one), and draws from it."""

    propensity_draws: ClassVar[int] = 1000  # that propensities are counted over, when none are asked for

    @abstractmethod
    def drawn_logits(self, histories: Histories, streams: Streams) -> Iterator[Float[Tensor, "users items"]]:
        """Logits of p(next item | a draw from the posterior), a fresh draw each time, without end.

        What is unknown of a user is drawn from that user's stream, what is unknown of the model from the shared one. The
        memory may be used again by the next draw, and may be written to.
        """


@runtime_checkable
class BoundedLikelihood(Protocol):
    """It bounds the log-probability of whole histories from below."""

    device: torch.device

    @abstractmethod
    def bound(self, histories: Histories, generator: torch.Generator) -> Bound:
        """Terms whose sum is a lower bound on log p(history), of each user in nats.

        Args:
            generator: of the draws, on the model's device.
        """


for _protocol in (OnnxGraph, ItemFeatures, DotProduct, ItemTokens, Components, PosteriorSampler, BoundedLikelihood):
    # Python's stand-in for a protocol's constructor would come before the model's own, and hide what that takes.
    delattr(_protocol, "__init__")


class LatentPosterior(LatentModel[Histories], ABC):
    """A latent-variable model of histories with an encoder: importance-weighted and annealed bounds, refinement, the map."""

    @abstractmethod
    def decode(self, z: Float[Tensor, "users latent"]) -> Float[Tensor, "users items"]:
        """Logits of p(item | z); the memory may be used again by the next call, and may be written to."""

    @abstractmethod
    def queries_at(self, z: Float[Tensor, "users latent"]) -> Float[Tensor, "users dim"]:
        """What an item's vector is multiplied with, given z: `DotProduct.queries` at one z instead of at its mean."""


def has_capability(kind: type[Recommender[Any]], wanted: type[Any]) -> bool:
    """Whether models of a class have a capability, as far as the class alone says."""
    return all(hasattr(kind, name) for name in _names(wanted)) if _is_protocol(wanted) else issubclass(kind, wanted)


def capability(model: Recommender[Any], wanted: type[P]) -> P | None:
    """The model as what has a capability; None where it has not, by its class or by its settings."""
    found: Any = model
    return found if has_capability(type(model), wanted) and model.lacks(wanted) is None else None


def required(model: Recommender[Any], wanted: type[P], what: str) -> P:
    """The model as what has a capability.

    Args:
        what: is asked for, and what it needs: the beginning of the error.

    Raises:
        ConfigError: the model has it not.
    """
    found = capability(model, wanted)
    if found is None:
        raise ConfigError(f"{what}; {model.lacks(wanted) or f'{type(model).__name__} has none'}")
    return found


def _is_protocol(kind: type[Any]) -> bool:
    return bool(getattr(kind, "_is_protocol", False))


def _names(protocol: type[Any]) -> set[str]:
    """What a class must have to have the capability."""
    return {name for name in protocol.__dict__ if not name.startswith("_")}


def top_items(model: Components, k: int) -> Int64[Array, "components k"]:
    """The k items that say most about each component: by p(i | c) log(p(i | c) / p(i)), an item's share of the component's KL."""
    weights, shares = model.components()
    overall = weights @ shares
    said = shares * np.log(np.maximum(shares, 1e-300) / np.maximum(overall, 1e-300))
    return np.argsort(-said, axis=1, kind="stable")[:, :k]
