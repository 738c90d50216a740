"""Whether the order of events matters in a log: the last item against an earlier one, as what foretells the next item.

    gain_u = mean over events t of user u of  log p₁(i_t | i_{t−1}) − log p₂(i_t | i_s),   s < t − 1 at random

p₁ and p₂ are the same estimator, transitions between items smoothed by popularity,

    p(j | i) = (n_ij + κ q_j) / (n_i + κ),

counted on other users: once over pairs of neighbors, once over pairs with a random earlier item. If the order of events were
random, both pairs would have the same distribution, and the gain would be 0. No model is trained, and no target is looked at.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from foldin.data import Histories
from foldin.evaluation import studentized_interval
from foldin.tensors import Array, Float64, Int64

__all__ = ["OrderGain", "measure_order"]

_EVENTS = 300_000  # most events that are read
_SMOOTHING = (1.0, 10.0, 100.0, 1_000.0, 10_000.0)  # values of κ, of which each estimator takes its best


@dataclass(frozen=True, kw_only=True)
class OrderGain:
    """What the last item tells more about the next one than an earlier item does.

    Args:
        mean: mean over users of the gain in log-likelihood, in nats per event.
        low, high: ends of its 95 % interval; None where there is none.
        users: number of users.
    """

    mean: float
    low: float | None
    high: float | None
    users: int

    def as_dict(self) -> dict[str, Any]:
        """The gain as data."""
        return {"mean": self.mean, "low": self.low, "high": self.high, "users": self.users}


def measure_order(histories: Histories, *, events: int = _EVENTS, seed: int = 0) -> OrderGain | None:
    """The gain of the last item over a random earlier one, in nats per event; None if fewer than two users have three items.

    Each half of the users is measured with the transitions of the other half. Of events that repeat an item of their user, the
    first is read.

    Args:
        events: most events that are read, of users drawn at random.
        seed: seed of the draws.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(histories))
    chosen = np.sort(order[np.cumsum(histories.lengths[order]) <= max(events, int(histories.lengths.max(initial=0)))])
    read = histories.select(chosen).distinct()
    read = read.select(np.flatnonzero(read.lengths >= 3))
    if len(read) < 2:
        return None
    half = rng.permutation(len(read)) % 2
    users, following, last, earlier = _pairs(read, rng)
    gains = np.zeros(len(read))
    for side in (0, 1):
        test = half[users] == side
        shares = _shares(following[~test], histories.n_items)
        found = [
            _log_likelihoods(before[~test], following[~test], before[test], following[test], shares)
            for before in (last, earlier)
        ]
        gains += np.bincount(users[test], weights=found[0] - found[1], minlength=len(read))
    gains /= read.lengths - 2
    low, high = (None if np.isnan(end) else float(end) for end in studentized_interval(gains, seed=seed))
    return OrderGain(mean=float(gains.mean()), low=low, high=high, users=len(read))


_Pairs = tuple[Int64[Array, " pairs"], Int64[Array, " pairs"], Int64[Array, " pairs"], Int64[Array, " pairs"]]


def _pairs(read: Histories, rng: np.random.Generator) -> _Pairs:
    """(user, item, the item before it, a random item before that one) of each event from a user's third on."""
    users, items = read.users(), read.items.astype(np.int64)
    place = np.arange(len(items)) - read.offsets[users]
    at = np.flatnonzero(place >= 2)
    back = 2 + (rng.random(len(at)) * (place[at] - 1)).astype(np.int64)
    return users[at], items[at], items[at - 1], items[at - back]


def _shares(items: Int64[Array, " pairs"], n_items: int) -> Float64[Array, " items"]:
    counts = np.bincount(items, minlength=n_items) + 1.0
    found: Float64[Array, " items"] = counts / counts.sum()
    return found


def _log_likelihoods(
    before: Int64[Array, " pairs"],
    after: Int64[Array, " pairs"],
    given: Int64[Array, " tests"],
    wanted: Int64[Array, " tests"],
    shares: Float64[Array, " items"],
) -> Float64[Array, " tests"]:
    """log p(wanted | given) of each test pair, in nats, with the κ that is best for their sum.

    Args:
        before, after: the pairs whose transitions are counted.
        shares: share of each item, q.
    """
    n_items = len(shares)
    keys, counts = np.unique(before * n_items + after, return_counts=True)
    asked = given * n_items + wanted
    at = np.minimum(np.searchsorted(keys, asked), len(keys) - 1)
    both = np.where(keys[at] == asked, counts[at], 0)
    total = np.bincount(before, minlength=n_items)[given]
    tried = [np.log((both + kappa * shares[wanted]) / (total + kappa)) for kappa in _SMOOTHING]
    return max(tried, key=lambda one: float(one.sum()))
