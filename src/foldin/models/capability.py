"""Capabilities of models beyond scores, as protocols that are looked up in one place.

`capability(model, PosteriorSampler)` returns the model, typed as a `PosteriorSampler`, or None. A class of any package has a
capability if it has all members of the protocol; if that depends on the settings, `Recommender.lacks` decides.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar, Protocol, TypeVar, runtime_checkable

import numpy as np
import torch

from foldin.data import Catalog, HeldOut, Histories
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
    "Experts",
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
    """A model whose scores are plain tensor operations, so that they can be exported to another runtime."""

    @abstractmethod
    def padded_logits(self, history: Int[Tensor, "users length"]) -> Float[Tensor, "users items"]:
        """As `_logits`, for a rectangle of items, oldest first, padded with −1 on the right."""


@runtime_checkable
class ItemFeatures(Protocol):
    """A model that reads features of the items, such as titles, besides the events."""

    @abstractmethod
    def describe(self, catalog: Catalog) -> None:
        """Take the features that the model needs from the catalog, before training."""


@runtime_checkable
class DotProduct(Protocol):
    """A model whose scores are ⟨query of a user, vector of an item⟩ + bias, so that an index can search it.

    Users without a history may be scored in another way.
    """

    @abstractmethod
    def queries(self, histories: Histories) -> Float[Tensor, "users dim"]:
        """Each user's query."""

    @abstractmethod
    def item_vectors(self) -> tuple[Float[Tensor, "items dim"], Float[Tensor, " items"]]:
        """(vectors, biases) of all items."""


@runtime_checkable
class ItemTokens(Protocol):
    """A model that generates items as sequences of tokens, one by one, so that a beam can search it."""

    @abstractmethod
    def item_tokens(self) -> Int64[Array, "items levels"]:
        """The tokens of each item.

        Raises:
            FitError: the tokens have not been learned yet.
        """

    @abstractmethod
    def token_use(self) -> CodeUse:
        """The use of the tokens of each level."""

    @abstractmethod
    def branching(self) -> int:
        """Maximum number of tokens of a level."""

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

        log p is the exact log-probability of the item, in nats, given that the next item is one that may be listed.

        Args:
            histories: histories of the users, each with at least one event.
            paths: number of paths kept at each level.
            allowed: items that may be listed.
            seen: (users, items), pairs that may not be listed; each pair once.
        """


@runtime_checkable
class Components(Protocol):
    """A model with components that can be described by their items: classes of users, topics or factors."""

    @abstractmethod
    def components(self) -> tuple[Float[Array, " components"], Float[Array, "components items"]]:
        """(share of each component, its distribution over items)."""


@runtime_checkable
class PosteriorSampler(Protocol):
    """A model that draws from a posterior over latent variables of a user (and over its parameters, if it keeps one)."""

    propensity_draws: ClassVar[int] = 1000  # default number of draws by which propensities are estimated

    @abstractmethod
    def drawn_logits(self, histories: Histories, streams: Streams) -> Iterator[Float[Tensor, "users items"]]:
        """An endless iterator over logits of p(next item | a draw from the posterior), with a fresh draw each time.

        Latent variables of a user are drawn from that user's stream, parameters of the model from the shared one. The next
        draw may overwrite the memory, and the caller may write to it.
        """


@runtime_checkable
class BoundedLikelihood(Protocol):
    """A model with a lower bound on the log-probability of whole histories."""

    device: torch.device

    @abstractmethod
    def bound(self, histories: Histories, generator: torch.Generator) -> Bound:
        """Terms whose sum is a lower bound on log p(history) of each user, in nats.

        Args:
            generator: generator of the draws, on the model's device.
        """


@runtime_checkable
class Experts(Protocol):
    """A model that combines several models, so that a report can say what each of them adds."""

    @abstractmethod
    def expert_names(self) -> tuple[str, ...]:
        """The name of each of the combined models, all different."""

    @abstractmethod
    def without(self, expert: int, held: HeldOut) -> Recommender[Any]:
        """The combination of the others, which stay as they are, with weights learned anew on held-out users.

        Args:
            expert: position of the expert that is left out.

        Raises:
            ConfigError: there is no such expert, or no other.
            FitError: no held-out user has both a history and a target.
        """


for _protocol in (
    OnnxGraph,
    ItemFeatures,
    DotProduct,
    ItemTokens,
    Components,
    PosteriorSampler,
    BoundedLikelihood,
    Experts,
):
    # Python gives protocols a constructor, which would precede that of the model and hide its signature.
    delattr(_protocol, "__init__")


class LatentPosterior(LatentModel[Histories], ABC):
    """Latent-variable model of histories with an encoder, for importance-weighted and annealed bounds, refinement and the map."""

    @abstractmethod
    def decode(self, z: Float[Tensor, "users latent"]) -> Float[Tensor, "users items"]:
        """Logits of p(item | z); the next call may overwrite their memory, and the caller may write to it."""

    @abstractmethod
    def queries_at(self, z: Float[Tensor, "users latent"]) -> Float[Tensor, "users dim"]:
        """Queries by which items' vectors are multiplied, at a given z; `DotProduct.queries` are those at the mean of z."""


def has_capability(kind: type[Recommender[Any]], wanted: type[Any]) -> bool:
    """Whether models of a class can have a capability; the settings of a model may still exclude it."""
    return all(hasattr(kind, name) for name in _names(wanted)) if _is_protocol(wanted) else issubclass(kind, wanted)


def capability(model: Recommender[Any], wanted: type[P]) -> P | None:
    """The model, typed as having a capability; None if its class or its settings lack it."""
    found: Any = model
    return found if has_capability(type(model), wanted) and model.lacks(wanted) is None else None


def required(model: Recommender[Any], wanted: type[P], what: str) -> P:
    """The model, typed as having a capability.

    Args:
        what: what was requested and what it needs, as the beginning of the error.

    Raises:
        ConfigError: the model lacks the capability.
    """
    found = capability(model, wanted)
    if found is None:
        raise ConfigError(f"{what}; {model.lacks(wanted) or f'{type(model).__name__} has none'}")
    return found


def _is_protocol(kind: type[Any]) -> bool:
    return bool(getattr(kind, "_is_protocol", False))


def _names(protocol: type[Any]) -> set[str]:
    """Names of the members that a class with the capability has."""
    return {name for name in protocol.__dict__ if not name.startswith("_")}


def top_items(model: Components, k: int) -> Int64[Array, "components k"]:
    """The k items that characterize each component best: by p(i | c) log(p(i | c) / p(i)), their contribution to the KL."""
    weights, shares = model.components()
    overall = weights @ shares
    said = shares * np.log(np.maximum(shares, 1e-300) / np.maximum(overall, 1e-300))
    return np.argsort(-said, axis=1, kind="stable")[:, :k]
