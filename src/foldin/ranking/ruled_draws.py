"""Propensities of lists that are drawn item by item under rules."""

from dataclasses import replace

import numpy as np

from foldin.ranking.choosing import Tally
from foldin.ranking.lists import RankedLists
from foldin.ranking.resolved_rules import ResolvedCap, Stage
from foldin.tensors import Array, Bool, Float64

__all__ = ["propensities_under"]

_MOST = 700.0  # nats, beyond which exp overflows


def propensities_under(
    stage: Stage, lists: RankedLists, logp: Float64[Array, "users items"], temperature: float
) -> RankedLists:
    """Lists of `Gumbel` under rules, with P(each item | the items above it, the pins); 1 for a pin.

    The largest of log p / T + Gumbel noise among the items that the caps still admit is a draw from their distribution: the noise
    is a race with independent exponential times, and the times of the items that may still be drawn are known only to be
    later than that of the last winner.

    Source: kool2019, section 2.

    Args:
        stage: all rules, without diversity.
        lists: the lists that were drawn.
        logp: log-probabilities under the model; −∞ for items that may not be listed.
        temperature: T.
    """
    weighted = logp if stage.weights is None else logp + stage.weights
    propensity, inverse = np.zeros(lists.items.shape), np.zeros(lists.items.shape)
    pins = {one.item for one in stage.pins}
    for user, scaled in enumerate(weighted / temperature):
        tally, open_ = Tally(stage.caps), np.isfinite(scaled)
        for item in pins & set(lists.items[user].tolist()):
            tally.add(item)
        open_[list(pins)] = False
        for place, item in enumerate(lists.items[user].tolist()):
            if item in pins:
                propensity[user, place] = inverse[user, place] = 1.0
            elif item >= 0:
                admitted = scaled[open_ & ~_full(stage, tally, len(scaled))]
                chance = scaled[item] - np.logaddexp.reduce(admitted)
                propensity[user, place] = np.exp(min(chance, 0.0))
                inverse[user, place] = np.exp(min(max(-chance, 0.0), _MOST))
                tally.add(item)
                open_[item] = False
    return replace(lists, propensity=propensity, inverse_propensity=inverse)


def _full(stage: Stage, tally: Tally, n_items: int) -> Bool[Array, " items"]:
    """Whether each item is excluded by a cap."""
    found = np.zeros(n_items, dtype=bool)
    for at, cap in enumerate(stage.caps):
        found |= _having(cap, tally.full_values(at))
    return found


def _having(cap: ResolvedCap, values: list[int]) -> Bool[Array, " items"]:
    """Whether each item has one of some values."""
    if not values:
        return np.zeros(len(cap.values.offsets) - 1, dtype=bool)
    return np.asarray(cap.values.matrix[:, values].sum(axis=1) > 0).ravel()
