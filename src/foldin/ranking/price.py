"""The price of business rules: the log-likelihood, or the score, that a list gives up to them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from foldin.tensors import Array, Float, Float64, Int64

__all__ = ["Price", "price_of"]


@dataclass(frozen=True, eq=False)
class Price:
    """What lists give up to their rules: Σ s(item) of the list without rules minus Σ s(item) of the list with them.

    s is log p(next item | history, the item may be listed), in nats, of the model alone, without log-weights; for a model
    without a density it is the score, which has no unit. Items that a forced pin admits may be listed in both lists.

    The rules are applied one after the other, and each pays the difference that it makes to the list before it: the parts
    depend on this order, their sum does not. The sums go over the first n places, where n is the length of the shortest list on
    the way. Without rules `Exact` lists the n items of the largest sum: with it the total is at least 0. A single rule may
    give back what another took, and against a list that was drawn, or found by a search, the total may be below 0.

    Args:
        rules: names of the rules, in the order in which they are applied.
        given_up: what each rule gives up, for each user.
        places: the number of places n over which the sums go.
        unit: `nats`, or `score` for a model without a density.
    """

    rules: tuple[str, ...]
    given_up: Float[Array, "users rules"]
    places: Int64[Array, " users"]
    unit: Literal["nats", "score"]

    @property
    def total(self) -> Float[Array, " users"]:
        """What all rules together give up, for each user."""
        return np.asarray(self.given_up.sum(axis=1))

    def rows(self, start: int, stop: int) -> "Price":
        """The price of the lists from `start` to `stop`."""
        return Price(self.rules, self.given_up[start:stop], self.places[start:stop], self.unit)

    def columns(self) -> dict[str, Float[Array, " users"]]:
        """The total and the part of each rule, by a name with the unit."""
        name = f"given_up_{self.unit}"
        return {name: self.total} | {f"{name}: {rule}": self.given_up[:, at] for at, rule in enumerate(self.rules)}

    def parts(self, user: int) -> list[tuple[str, float]]:
        """(name of the rule, what it gives up) for one user."""
        return list(zip(self.rules, self.given_up[user].tolist(), strict=True))


def price_of(
    names: tuple[str, ...], scores: Sequence[Float[Array, "users k"]], unit: Literal["nats", "score"]
) -> Price:
    """The price of lists by their scores under the model: without rules, with the first rule, …, with all rules.

    Args:
        scores: scores of the items of each of these lists; −∞ in the empty places, which are the last ones.
    """
    stacked = np.stack([np.asarray(one, dtype=np.float64) for one in scores])
    listed = np.isfinite(stacked)
    places = listed.sum(axis=2).min(axis=0)
    within = np.arange(stacked.shape[2])[None, None, :] < places[None, :, None]
    sums: Float64[Array, "lists users"] = np.where(within & listed, stacked, 0.0).sum(axis=2)
    return Price(names, (sums[:-1] - sums[1:]).T, places.astype(np.int64), unit)
