"""Ranked lists with scores, propensities, and the spread of the posterior."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import polars as pl

from foldin.data import Catalog
from foldin.display import Display, Displayed
from foldin.errors import ShapeError
from foldin.ranking.price import Price
from foldin.tensors import Array, Float, Int

__all__ = ["RankedLists", "Spread"]

_SHOWN = 5


@dataclass(frozen=True)
class Spread:
    """Uncertainty of the posterior about each entry of a list. Empty places hold 0.

    Args:
        mean: posterior mean of the item's probability.
        sd: posterior standard deviation of that probability.
        low, high: ends of its credible interval.
        in_top_k: P(the item is among the k best) over draws from the posterior, estimated without bias as X / n if X of n
            independent draws list the item. 0 if no draw lists it, which is then unlikely but not impossible.
        in_top_k_se: standard error of `in_top_k`: the posterior standard deviation of a share of which X of n were seen,
            √(p̃ (1 − p̃) / (n + 3)) with p̃ = (X + 1) / (n + 2), which is above 0 at X = 0 and X = n too.
        draws: number of draws, n.
    """

    mean: Float[Array, "users k"]
    sd: Float[Array, "users k"]
    low: Float[Array, "users k"]
    high: Float[Array, "users k"]
    in_top_k: Float[Array, "users k"]
    in_top_k_se: Float[Array, "users k"]
    draws: int


@dataclass(frozen=True, repr=False)
class RankedLists(Displayed):
    """Lists of recommendations, best first.

    Their length k is the requested one, or the number of items of the catalog if that is less.

    Args:
        items: item indices; −1 in the empty places of a shorter list.
        scores: if `normalized`, log p(next item | history, the item is one that may be listed), in nats; else scores that only
            rank. −∞ in empty places.
        normalized: whether scores are log-probabilities.
        propensity: propensity of each entry, if the list was drawn at random. From `Gumbel` it is exact and conditional: P(drawn
            at its place, given those above it); their product is the probability of the list. From `PosteriorSample` it is
            estimated and marginal: P(anywhere in the list), whatever else is listed. The two must not be mixed.
        propensity_se: standard error of an estimated propensity.
        inverse_propensity: weight of the entry in inverse propensity scoring. For a propensity estimated as X of n draws, it is
            (n + 1) / (X + 1), finite where n / X is not; its mean is (1 − (1 − p)^{n+1}) / p, which falls short of 1 / p by the
            share (1 − p)^{n+1}: by 0.7 % at p = .005 and n = 1,000, by 60 % at n = 100. More draws reduce the shortfall.
        spread: spread of the posterior, if requested.
        price: what the lists give up to business rules, if they were made by some. Scores are then those of the model alone, and
            the order is that of the rules.
    """

    items: Int[Array, "users k"]
    scores: Float[Array, "users k"]
    normalized: bool = False
    propensity: Float[Array, "users k"] | None = None
    propensity_se: Float[Array, "users k"] | None = None
    inverse_propensity: Float[Array, "users k"] | None = None
    spread: Spread | None = None
    price: Price | None = None

    def __len__(self) -> int:
        return len(self.items)

    def display(self) -> Display:
        k, known = self.items.shape[1], [*self.columns()]
        of = "log-probabilities" if self.normalized else "scores"
        rows = [
            (str(user), ", ".join(str(one) for one in row[row >= 0])) for user, row in enumerate(self.items[:_SHOWN])
        ]
        return Display(
            title=f"RankedLists of {len(self):,} users, {k:,} items each, with {', '.join((of, *known))}",
            head=("user", "item indices, best first"),
            rows=rows,
            notes=[f"{len(self) - _SHOWN:,} more"] if len(self) > _SHOWN else [],
        )

    def row(self, user: int, k: int | None = None) -> "RankedLists":
        """The list of one user without its empty places; only its first k entries if k is given."""
        kept = np.flatnonzero(self.items[user] >= 0)[:k]
        found = _mapped(self, lambda values: values[user : user + 1, kept])
        return found if self.price is None else replace(found, price=self.price.rows(user, user + 1))

    def frame(self, catalog: Catalog, users: pl.Series) -> pl.DataFrame:
        """A table with a row for each entry: user, rank, external id and title of the item, probability or score, and `columns`.

        What a list gives up to business rules, if it was made by some, is repeated in each of its rows.

        Args:
            users: external ids, one for each list.

        Raises:
            ShapeError: another number of ids than of lists.
        """
        if len(users) != len(self):
            raise ShapeError(f"{len(users):,} ids for {len(self):,} lists")
        k = self.items.shape[1]
        flat, scores = self.items.reshape(-1), self.scores.reshape(-1)
        kept = flat >= 0
        values = [
            pl.Series("probability", np.exp(scores[kept])) if self.normalized else pl.Series("score", scores[kept])
        ]
        values += [pl.Series(name, column.reshape(-1)[kept]) for name, column in self.columns().items()]
        if self.price is not None:
            values += [pl.Series(name, np.repeat(one, k)[kept]) for name, one in self.price.columns().items()]
        return pl.DataFrame(
            [
                users.gather(np.repeat(np.arange(users.len()), k)[kept]).alias("user"),
                pl.Series("rank", np.tile(np.arange(1, k + 1), users.len())[kept]),
                catalog.table["item"].gather(flat[kept]),
                pl.Series("title", catalog.titles).gather(flat[kept]),
                *values,
            ]
        )

    def columns(self) -> dict[str, Float[Array, "users k"]]:
        """Spread and propensities of each entry, as far as the lists have them, by name."""
        found: dict[str, Float[Array, "users k"]] = {}
        if self.spread is not None:
            found |= {name: getattr(self.spread, name) for name in ("sd", "low", "high", "in_top_k", "in_top_k_se")}
        for name in ("propensity", "propensity_se", "inverse_propensity"):
            value = getattr(self, name)
            if value is not None:
                found[name] = value
        return found


def _mapped(lists: RankedLists, change: Any) -> RankedLists:
    """The lists with the same change made to every array."""

    def changed(one: Any) -> dict[str, Any]:
        values = {field.name: getattr(one, field.name) for field in fields(one)}
        return {name: change(value) for name, value in values.items() if isinstance(value, np.ndarray)}

    spread = None if lists.spread is None else replace(lists.spread, **changed(lists.spread))
    return replace(lists, **changed(lists), spread=spread)


def concatenated(parts: Sequence[RankedLists]) -> RankedLists:
    """The lists of consecutive blocks of users, from one ranker, concatenated."""
    first = parts[0]
    if len(parts) == 1:
        return first

    def joined(of: Sequence[Any]) -> dict[str, Any]:
        names = [field.name for field in fields(of[0]) if isinstance(getattr(of[0], field.name), np.ndarray)]
        return {name: np.concatenate([getattr(one, name) for one in of]) for name in names}

    spreads = [one.spread for one in parts if one.spread is not None]
    spread = replace(spreads[0], **joined(spreads)) if spreads else None
    prices = [one.price for one in parts if one.price is not None]
    price = replace(prices[0], **joined(prices)) if prices else None
    return replace(first, **joined(parts), spread=spread, price=price)
