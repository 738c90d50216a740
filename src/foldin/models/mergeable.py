"""The capability of incremental EM: parameters that come from expected sufficient statistics, to which later events are added.

Training ends with statistics S of all users, and parameters that are the M-step of S. When users have new events, then

    S' = d S + Σ_u s(new events of u; u's posterior given the whole history),   parameters' = M-step(S')

with a decay d in (0, 1]. Every event counts once: those of an earlier S are not passed over again, and keep the shares of
components that they had. For variational inference the M-step is that of the natural parameters, prior plus S'.

Source: neal1998, section 3 (statistics updated by part of the data); cappe2009, eq. 12 (their decay); hoffman2013, eqs. 14-15.
"""

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np

from foldin.data import Histories
from foldin.inference import Maximizable, Statistics
from foldin.tensors import Array, Bool

__all__ = ["MergeableStatistics", "statistics_of_catalog"]


class MergeableStatistics(Maximizable[Histories]):
    """A model that keeps the statistics from which its last pass set the parameters, and can be updated by more of them.

    `statistics` is None before training, and while a pass changes the parameters.
    """

    statistics: Statistics | None = None

    def summarize(self, batch: Histories) -> Statistics:
        """E-step: the expected sufficient statistics of all events of some users."""
        return self.summarize_new(batch, np.ones(batch.n_events, dtype=np.bool_))

    @abstractmethod
    def summarize_new(self, users: Histories, new: Bool[Array, " events"]) -> Statistics:
        """E-step: the expected sufficient statistics of some events of each user, by the posterior given all events of the user.

        The sum over a division of a user's events is that of all of them. What is counted once for each user, and in proportion
        to no events, is counted only if all events of the user are new.

        Args:
            users: whole histories.
            new: mask of the events to count.
        """

    @abstractmethod
    def item_sums(self) -> frozenset[str]:
        """Names of the statistics whose first axis is the items; no other has such an axis."""

    def begin_from(self, earlier: Statistics) -> None:
        """Set the parameters to those that an earlier training's statistics give; items without any begin at the prior.

        Args:
            earlier: the statistics, over the items of this model. Its tensors hold the rows of the earlier one (`warm_start`).
        """
        self.update(earlier)

    def update(self, statistics: Statistics) -> None:
        """M-step with these statistics, which the model then keeps, and with what of its prior depends on them."""
        self.maximize(statistics)
        self.statistics = statistics


def statistics_of_catalog(
    statistics: Statistics, item_sums: frozenset[str], places: Sequence[int | None], n_items: int
) -> Statistics:
    """Statistics over the items of another catalog: those of items that are in both, and zeros for the others.

    Args:
        statistics: those of the earlier catalog.
        item_sums: names of those whose first axis is the items.
        places: for each item of the new catalog its index in the earlier one; None if it is not there.
        n_items: size of the new catalog.
    """
    known = np.array([at for at, place in enumerate(places) if place is not None], dtype=np.int64)
    there = np.array([place for place in places if place is not None], dtype=np.int64)
    sums = dict(statistics.sums)
    for name in item_sums:
        earlier = sums[name]
        sums[name] = np.zeros((n_items, *earlier.shape[1:]), dtype=earlier.dtype)
        sums[name][known] = earlier[there]
    return Statistics(sums, statistics.log_likelihood, statistics.weight)
