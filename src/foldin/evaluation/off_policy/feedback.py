"""Logged lists: what a policy listed at random, with which probability, and the reward that followed."""

from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np

from foldin.display import Display, Displayed
from foldin.errors import ConfigError, ShapeError, SupportError
from foldin.ranking import RankedLists
from foldin.tensors import Array, Bool, Float64, Int64

__all__ = ["LoggedFeedback", "PropensityOf"]

_ROUNDING = 1e-9  # by which a probability may be above 1


class PropensityOf(Enum):
    """The event whose probability is the propensity of a listed item; probabilities of different events are never divided."""

    GIVEN_ABOVE = "the item at its place, given the items above it"
    AT_PLACE = "the item at its place, whatever else is listed"
    IN_LIST = "the item anywhere in the list"


@dataclass(frozen=True, eq=False, repr=False)
class LoggedFeedback(Displayed):
    """Lists that a policy drew at random, and the reward of each listed item.

    Args:
        items: item indices, best first; −1 in the empty places of a shorter list.
        propensities: probability of each listed item under the policy that drew the list; any number in empty places.
        rewards: reward of each listed item, such as 1 for a click; 0 in empty places. The value of a policy is the expected sum
            of a list's rewards. For a weight that depends on the place, multiply the rewards by it.
        contexts: index of the context of each list: of the user's history, as a row of `Histories` or of a table.
        propensity_of: the event whose probabilities `propensities` are. For lists of one item all three are the same.
        possible: whether the logging policy may list an item in a context; None if that is not known. Where it is known, the
            probabilities of a target policy that lists other items are refused.
        clusters: index of the cluster of each list, such as that of its user; lists of different clusters are independent, and
            intervals count clusters. The contexts are the clusters if None.

    Raises:
        ShapeError: arrays of different sizes, no list, a number outside its range, or an item twice in a list.
        SupportError: a listed item with propensity 0, or one that is not among those possible.
    """

    items: Int64[Array, "lists k"]
    propensities: Float64[Array, "lists k"]
    rewards: Float64[Array, "lists k"]
    contexts: Int64[Array, " lists"]
    propensity_of: PropensityOf = PropensityOf.GIVEN_ABOVE
    possible: Bool[Array, "contexts items"] | None = None
    clusters: Int64[Array, " lists"] | None = None

    def __post_init__(self) -> None:
        for name in ("items", "contexts", "clusters"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, _whole(name, getattr(self, name)))
        for name in ("propensities", "rewards"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=np.float64))
        self._check_shapes()
        self._check_values()
        if self.possible is not None:
            self._check_possible(self.possible)

    @classmethod
    def of_items(
        cls,
        items: Int64[Array, " lists"],
        propensities: Float64[Array, " lists"],
        rewards: Float64[Array, " lists"],
        contexts: Int64[Array, " lists"] | None = None,
        *,
        possible: Bool[Array, "contexts items"] | None = None,
        clusters: Int64[Array, " lists"] | None = None,
    ) -> "LoggedFeedback":
        """Logged lists of a single item each; without `contexts`, each has a context of its own."""
        return cls(
            _whole("items", items)[:, None],
            np.asarray(propensities, dtype=np.float64)[:, None],
            np.asarray(rewards, dtype=np.float64)[:, None],
            np.arange(len(items)) if contexts is None else contexts,
            possible=possible,
            clusters=clusters,
        )

    @classmethod
    def of_lists(
        cls,
        lists: RankedLists,
        rewards: Float64[Array, "lists k"],
        contexts: Int64[Array, " lists"] | None = None,
        *,
        possible: Bool[Array, "contexts items"] | None = None,
        clusters: Int64[Array, " lists"] | None = None,
    ) -> "LoggedFeedback":
        """Lists of a random ranker with the rewards that followed; without `contexts`, each list has a context of its own.

        The propensities of `Gumbel` are exact: `GIVEN_ABOVE`. Those of `PosteriorSample` are estimated: `IN_LIST`, with the
        inverse of `inverse_propensity`, which is never 0, in the place of the share of draws.

        Raises:
            ConfigError: the ranker draws nothing, so that there are no propensities.
        """
        if lists.propensity is None or lists.inverse_propensity is None:
            raise ConfigError("these lists have no propensities: draw them with Gumbel or PosteriorSample")
        listed = lists.items >= 0
        if lists.propensity_se is None:
            propensities, of = lists.propensity, PropensityOf.GIVEN_ABOVE
        else:
            propensities, of = 1.0 / np.where(listed, lists.inverse_propensity, 1.0), PropensityOf.IN_LIST
        own = np.arange(len(lists)) if contexts is None else contexts
        return cls(lists.items, propensities, rewards, own, of, possible, clusters)

    def __len__(self) -> int:
        return len(self.items)

    @property
    def listed(self) -> Bool[Array, "lists k"]:
        """Whether a place of a list is not empty."""
        return self.items >= 0

    @property
    def independent(self) -> Int64[Array, " lists"]:
        """Index of the cluster of each list, or of its context if the log has no clusters."""
        return self.contexts if self.clusters is None else self.clusters

    def display(self) -> Display:
        lists, k = self.items.shape
        clusters = "" if self.clusters is None else f" and {len(np.unique(self.clusters)):,} clusters"
        contexts = f"{len(np.unique(self.contexts)):,} contexts"
        return Display(
            title=f"LoggedFeedback of {lists:,} lists of {k:,} items, in {contexts}{clusters}",
            head=("", ""),
            rows=[
                ("mean reward of a list", f"{self.rewards.sum(axis=1).mean():.4g}"),
                ("smallest propensity", f"{self.propensities[self.listed].min(initial=1.0):.4g}"),
                ("a propensity is that of", self.propensity_of.value),
            ],
        )

    def _check_shapes(self) -> None:
        if self.items.ndim != 2 or 0 in self.items.shape:
            raise ShapeError(
                f"items: an array of lists and places was expected, not one of the shape {self.items.shape}"
            )
        for name in ("propensities", "rewards"):
            if getattr(self, name).shape != self.items.shape:
                raise ShapeError(f"{name} have the shape {getattr(self, name).shape}, the items {self.items.shape}")
        for name, indices in (("contexts", self.contexts), ("clusters", self.independent)):
            if indices.shape != (len(self),):
                raise ShapeError(f"{name}: one for each of {len(self):,} lists was expected, not {indices.shape}")
        if self.contexts.min() < 0 or self.items.min() < -1:
            raise ShapeError(
                f"contexts count from 0 and items from −1, met {self.contexts.min()} and {self.items.min()}"
            )

    def _check_values(self) -> None:
        listed = self.listed
        order = np.sort(self.items, axis=1)
        twice = ((order[:, 1:] == order[:, :-1]) & (order[:, 1:] >= 0)).any(axis=1)
        if twice.any():
            raise ShapeError(f"list {int(np.argmax(twice))} has an item twice")
        valid = np.isfinite(self.propensities) & (self.propensities >= 0.0) & (self.propensities <= 1.0 + _ROUNDING)
        if not valid[listed].all():
            raise ShapeError(f"a propensity lies in (0, 1], not {_first(self.propensities, listed & ~valid)}")
        if (listed & (self.propensities == 0.0)).any():
            raise SupportError(
                f"propensity 0 {_where(listed & (self.propensities == 0.0))}: the log says that the policy listed an item "
                "which it never lists"
            )
        if not np.isfinite(self.rewards).all():
            raise ShapeError(f"a reward must be finite, not {_first(self.rewards, ~np.isfinite(self.rewards))}")
        if self.rewards[~listed].any():
            raise ShapeError(f"an empty place has a reward: {_first(self.rewards, ~listed & (self.rewards != 0.0))}")

    def _check_possible(self, possible: Bool[Array, "contexts items"]) -> None:
        contexts, items = possible.shape if possible.ndim == 2 else (0, 0)
        if possible.dtype != np.bool_ or self.contexts.max() >= contexts or self.items.max() >= items:
            raise ShapeError(
                f"possible: a table of booleans of at least {self.contexts.max() + 1} contexts and {self.items.max() + 1} items "
                f"was expected, not {possible.dtype} of the shape {possible.shape}"
            )
        outside = self.listed & ~possible[self.contexts[:, None], np.maximum(self.items, 0)]
        if outside.any():
            raise SupportError(f"the item {_where(outside)} is not among those that the logging policy may list there")


def _whole(name: str, values: Any) -> Int64[Array, "..."]:
    found = np.asarray(values)
    if not np.issubdtype(found.dtype, np.integer):
        raise ShapeError(f"{name} must be whole numbers, not {found.dtype}")
    return found.astype(np.int64, copy=False)


def _where(wrong: Bool[Array, "lists k"]) -> str:
    """The first place of a list for which something holds, in words."""
    at, place = np.argwhere(wrong)[0]
    return f"at place {place + 1} of list {at}"


def _first(values: Float64[Array, "lists k"], wrong: Bool[Array, "lists k"]) -> str:
    """The first of the values for which something holds, and where it stands."""
    at, place = np.argwhere(wrong)[0]
    return f"{values[at, place]:g} {_where(wrong)}"
