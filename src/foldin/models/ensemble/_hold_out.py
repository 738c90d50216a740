"""Held-out users for the weights of a product: those of the validation, or a share of the training users."""

from typing import Any, Protocol, runtime_checkable

import numpy as np
import polars as pl

from foldin.data import HeldOut, Histories
from foldin.errors import FitError
from foldin.tensors import Array, Bool, Int64

__all__ = ["HoldsOut", "hold_out"]

_TARGET_SHARE = 0.2
_MOST = 10_000  # held-out users, which is plenty for a few weights


@runtime_checkable
class HoldsOut(Protocol):
    """A validation metric that has the held-out users that it is measured on, as `evaluation.ValidationMetric` does."""

    held: HeldOut

    def __call__(self, model: Any) -> float: ...


def hold_out(train: Histories, share: float) -> tuple[Int64[Array, " users"], HeldOut]:
    """(indices of the users that training keeps, the other users with a part of their items as targets).

    The users are drawn among those with at least two items, and a fifth of the items of each, at least one, are targets. Both are
    the same at every call, whatever the seed of training.

    Args:
        share: share of the users with two items, at most 10,000 users.

    Raises:
        FitError: nobody can be held out.
    """
    rng = np.random.default_rng(0)
    able = np.flatnonzero(_items_of_users(train) >= 2)
    count = min(max(1, round(share * len(able))), _MOST, len(able), len(train) - 1)
    if count < 1:
        raise FitError(
            "ProductOfExperts: there are no validation users, and no training user with two items can be held out to learn the "
            "weights of the experts on"
        )
    chosen = np.sort(rng.choice(able, count, replace=False))
    events = train.select(chosen)
    targets = _targets(events, rng)
    users = pl.Series([str(one) for one in chosen])
    held = HeldOut(fold_in=events.where(~targets), targets=events.where(targets).distinct(), users=users)
    return np.setdiff1d(np.arange(len(train)), chosen), held


def _items_of_users(histories: Histories) -> Int64[Array, " users"]:
    """Number of different items of each user."""
    return np.concatenate([part.distinct().lengths for part in histories.parts()])


def _targets(events: Histories, rng: np.random.Generator) -> Bool[Array, " events"]:
    """Whether each event is one with a target: every event with one of the items that are drawn."""
    items = events.distinct()
    lengths = items.lengths
    order = np.lexsort((rng.random(items.n_events), items.users()))
    ranks = np.empty(items.n_events, dtype=np.int64)
    ranks[order] = np.arange(items.n_events) - np.repeat(items.offsets[:-1], lengths)
    chosen = ranks < np.repeat(np.maximum(1, (_TARGET_SHARE * lengths).astype(np.int64)), lengths)
    return np.isin(events.pair_keys(), items.where(chosen).pair_keys())
