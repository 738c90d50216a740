"""Simulated logs in which users take items again, with a next-item distribution that is known exactly.

A user of type c draws each event from an urn: new items by the tastes θ_c of the type, with the weight ν_c, and each earlier
event by its age a, the number of events since then, with the weight κ(a):

    p(i | h, c) = (ν_c θ_ci + Σ_e κ(a_e) [i_e = i]) / (ν_c + Σ_e κ(a_e))

The type is hidden and has the share π_c. After a history h it is known only by its posterior,
p(c | h) ∝ π_c Π_t p(i_t | h_<t, c), so that no list beats the order of

    p(i | h) = Σ_c p(c | h) p(i | h, c)

in the expected number of its items that are taken next, and no model has a larger expected log-likelihood.

Source: blackwell1973 (the urn without ages); blei2011 (weights by distance).
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from foldin.data.histories import Histories
from foldin.errors import DataError
from foldin.tensors import Array, Float64, Int64

__all__ = ["SimulatedRepeats"]

_TOLERANCE = 1e-6


@dataclass(frozen=True, eq=False, kw_only=True)
class SimulatedRepeats:
    """Users who take items again, by types of tastes.

    Args:
        tastes: θ, the distribution of each type over the items.
        shares: π, the share of the users of each type.
        new: ν, for each type the weight of a draw by its tastes.
        kernel: κ, weight of an earlier event by its age, the newest first; older events have none.

    Raises:
        DataError: arrays that do not fit each other, or tastes or shares that do not sum to 1, or weights that are not positive
            (`new`) or negative (`kernel`).
    """

    tastes: Float64[Array, "components items"]
    shares: Float64[Array, " components"]
    new: Float64[Array, " components"]
    kernel: Float64[Array, " ages"]

    def __post_init__(self) -> None:
        types = len(self.tastes)
        if (
            self.tastes.ndim != 2
            or self.shares.shape != (types,)
            or self.new.shape != (types,)
            or self.kernel.ndim != 1
        ):
            raise DataError(
                f"a simulation needs tastes of types by items, and a share and a weight for each type, not arrays of the shapes "
                f"{self.tastes.shape}, {self.shares.shape} and {self.new.shape}"
            )
        for name, sums in (("tastes", self.tastes.sum(axis=1)), ("shares", self.shares.sum())):
            if (getattr(self, name) < 0).any() or not np.allclose(sums, 1.0, atol=_TOLERANCE, rtol=0.0):
                raise DataError(f"{name}: probabilities that sum to 1 were expected")
        if not (self.new > 0).all() or (self.kernel < 0).any():
            raise DataError("new must be positive, and kernel not negative")

    @classmethod
    def random(
        cls,
        n_items: int,
        *,
        n_components: int = 4,
        concentration: float = 0.05,
        new: tuple[float, float] = (4.0, 16.0),
        peak: float = 6.0,
        height: float = 1.0,
        seed: int = 0,
    ) -> "SimulatedRepeats":
        """A simulation with random tastes, and a kernel that rises to an age and falls again, as of goods that are used up.

        Args:
            n_components: number of types of users.
            concentration: Dirichlet parameter of the tastes around a popularity that falls as 1 / rank; smaller ones differ more.
            new: weights of draws by the tastes of the first and the last type; those between are spaced evenly in logarithms.
            peak: age in events, from 0, at which the kernel is largest: κ(a) = height · b exp(1 − b) with
                b = (a + 1) / (peak + 1).
            height: weight of an event of that age.
        """
        rng = np.random.default_rng(seed)
        popular = 1.0 / np.arange(1, n_items + 1)
        popular /= popular.sum()
        tastes = rng.gamma(concentration * n_items * popular, size=(n_components, n_items)) + 1e-12
        scaled = np.arange(1, round(10 * (peak + 1)) + 1) / (peak + 1)
        return cls(
            tastes=tastes / tastes.sum(axis=1, keepdims=True),
            shares=np.full(n_components, 1.0 / n_components),
            new=np.geomspace(new[0], new[1], n_components),
            kernel=height * scaled * np.exp(1.0 - scaled),
        )

    @property
    def n_items(self) -> int:
        """Number of items of the catalog."""
        return self.tastes.shape[1]

    def histories(self, users: int, events: int, *, seed: int = 0) -> Histories:
        """Histories of users with the same number of events each, oldest first."""
        rng = np.random.default_rng(seed)
        types = rng.choice(len(self.shares), users, p=self.shares)
        below = np.cumsum(self.tastes, axis=1)
        weights = self._by_age(events)
        found = np.empty((users, events), dtype=np.int32)
        for at in range(events):
            cumulated = np.cumsum(weights[:at])
            total = cumulated[-1] if at else 0.0
            drawn = rng.random(users) * (self.new[types] + total)
            age = np.searchsorted(cumulated, drawn, side="right")
            again = age < at
            found[again, at] = found[again, at - 1 - age[again]]
            uniform = rng.random(users)
            for one in range(len(self.shares)):
                chosen = ~again & (types == one)
                places = np.searchsorted(below[one], uniform[chosen] * below[one, -1], side="right")
                found[chosen, at] = np.minimum(places, self.n_items - 1)
        offsets = np.arange(users + 1, dtype=np.int64) * events
        return Histories(items=found.ravel(), offsets=offsets, n_items=self.n_items)

    def table(self, users: int, events: int, *, seed: int = 0) -> pl.DataFrame:
        """As `histories`, as a table of a log: `user`, `item` and `time`, in seconds since 2020, a minute between two events."""
        drawn = self.histories(users, events, seed=seed)
        time = 1_577_836_800 + 60 * np.tile(np.arange(events, dtype=np.int64), users)
        names = {"user": pl.Series(drawn.users()), "item": pl.Series(drawn.items.astype(np.int64))}
        return pl.DataFrame(names).select(
            pl.format("u{}", pl.col("user")).alias("user"),
            pl.format("i{}", pl.col("item")).alias("item"),
            pl.Series("time", time),
        )

    def probabilities(self, histories: Histories) -> Float64[Array, "users items"]:
        """p(i | h), the true distribution of each user's next item, whatever the type of the user.

        Raises:
            DataError: histories over another catalog.
        """
        if histories.n_items != self.n_items:
            raise DataError(f"the simulation has {self.n_items:,} items, the histories {histories.n_items:,}")
        found = np.empty((len(histories), self.n_items))
        for user in range(len(histories)):
            found[user] = self._next(histories.of(user).astype(np.int64))
        return found

    def _next(self, items: Int64[Array, " events"]) -> Float64[Array, " items"]:
        events = len(items)
        weights = self._by_age(events)
        totals = np.concatenate(([0.0], np.cumsum(weights)))  # of the events before each one, and before the next
        ages = np.arange(events)[:, None] - 1 - np.arange(events)
        same = (items[:, None] == items) & (ages >= 0)
        again = np.where(same, weights[np.maximum(ages, 0)], 0.0).sum(axis=1) if events else np.empty(0)
        each = (self.new[:, None] * self.tastes[:, items] + again) / (self.new[:, None] + totals[:events])
        with np.errstate(divide="ignore"):
            log_type = np.log(self.shares) + np.log(each).sum(axis=1)
        posterior = np.exp(log_type - log_type.max())
        posterior /= posterior.sum()
        personal = np.bincount(items, weights=weights[::-1], minlength=self.n_items)
        of_types = (self.new[:, None] * self.tastes + personal) / (self.new + totals[events])[:, None]
        return posterior @ of_types

    def _by_age(self, events: int) -> Float64[Array, " events"]:
        """The kernel at the ages below a number of events."""
        found = np.zeros(events)
        found[: len(self.kernel)] = self.kernel[:events]
        return found
