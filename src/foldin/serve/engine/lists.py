"""Lists of many requests from one forward pass.

Requests may differ in the eligible items, the length of the list and the ranker; the scores are computed once for all requests of
a batch whose rankers score every item. Each list is that of `ranking.rank`.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np
import torch

from foldin.data import Histories
from foldin.data.resolve import disliked
from foldin.models import Recommender, history_key
from foldin.ranking import Eligibility, Exact, Gumbel, RankedLists, Ranker, masked_logits, rank
from foldin.tensors import Array, Bool

__all__ = ["ResolvedRequest", "rank_requests"]

_BY_SCORES = Exact | Gumbel


@dataclass(frozen=True)
class ResolvedRequest:
    """A validated request for one list, in item indices.

    Args:
        history: item indices, oldest first, as far as the model reads them.
        k: length of the list.
        times: seconds since 1970 of these events; None for a history without times.
        older: items that were taken before those that the model reads.
        weights: weight of each event of the history; None if all are 1.
        dislikes: items that the user dislikes, which are never listed.
        strengths: weight of each of the dislikes.
        exclude_seen: whether to exclude items of the history and older items.
        barred: mask of items that may not be listed; None for no restriction.
        narrowed: whether something else bars items than the state of the catalog, such as a filter of the request.
        item_revision: revision of the items at which the retired ones are barred; None if none is retired.
        ranker: ranker that makes the list.
        key: key of the user for random draws; None for the key of the history.
    """

    history: tuple[int, ...]
    k: int
    times: tuple[int, ...] | None = None
    older: tuple[int, ...] = ()
    exclude_seen: bool = True
    barred: Bool[Array, " items"] | None = field(default=None, compare=False)
    ranker: Ranker = field(default_factory=Exact)
    key: int | None = None
    weights: tuple[float, ...] | None = None
    dislikes: tuple[int, ...] = ()
    strengths: tuple[float, ...] = ()
    narrowed: bool = field(default=False, compare=False)
    item_revision: int | None = field(default=None, compare=False)

    @property
    def seen(self) -> tuple[int, ...]:
        """Items that may not be listed again, or at all."""
        return (*self.older, *self.history, *self.dislikes) if self.exclude_seen else self.dislikes

    @property
    def user_key(self) -> int:
        """The key of the user for random draws."""
        return history_key(self.history) if self.key is None else self.key


@torch.no_grad()
def rank_requests(model: Recommender[Any], requests: Sequence[ResolvedRequest]) -> list[RankedLists]:
    """The list of each request, without empty entries.

    Raises:
        ConfigError: the model lacks a capability that the ranker needs.
    """
    for ranker in {id(one.ranker): one.ranker for one in requests}.values():
        ranker.check(model)
    found: dict[int, RankedLists] = {}
    by_scores = [at for at, one in enumerate(requests) if isinstance(one.ranker, _BY_SCORES)]
    for start in range(0, len(by_scores), model.block()):
        chosen = by_scores[start : start + model.block()]
        found |= dict(zip(chosen, _by_scores(model, [requests[at] for at in chosen]), strict=True))
    alike: dict[Hashable, list[int]] = {}
    for at, one in enumerate(requests):
        if at not in found:
            # The width of a search by beam or index depends on k, and a list must not depend on others in its batch.
            alike.setdefault((one.ranker, one.k), []).append(at)
    for group in alike.values():
        some = [requests[at] for at in group]
        histories = _histories(some, model.n_items)
        keys = [one.user_key for one in some]
        lists = rank(model, histories, some[0].k, ranker=some[0].ranker, eligible=_eligible(some, histories), keys=keys)
        found |= {at: lists.row(place) for place, at in enumerate(group)}
    return [found[at] for at in range(len(requests))]


def _by_scores(model: Recommender[Any], requests: Sequence[ResolvedRequest]) -> list[RankedLists]:
    histories = _histories(requests, model.n_items)
    logits = masked_logits(model, histories, _eligible(requests, histories))
    best = Exact().order(model, logits, max(one.k for one in requests))
    made = []
    lengths = (best.items >= 0).sum(axis=1).tolist()  # empty places are the last ones
    for user, (one, length) in enumerate(zip(requests, lengths, strict=True)):
        if isinstance(one.ranker, Gumbel):
            made.append(one.ranker.order(logits[user : user + 1], one.k, [one.user_key]).row(0))
        else:
            own = slice(user, user + 1), slice(min(length, one.k))
            made.append(RankedLists(best.items[own], best.scores[own], normalized=best.normalized))
    return made


def _eligible(requests: Sequence[ResolvedRequest], histories: Histories) -> Eligibility:
    seen: Histories | None = histories
    if any(one.older or one.dislikes or not one.exclude_seen for one in requests):
        seen = Histories.from_lists([one.seen for one in requests], histories.n_items)
    first = requests[0].barred
    if all(one.barred is first for one in requests):  # such as the mask of retired items
        return Eligibility(len(requests), histories.n_items, seen, first)
    own = {at: one.barred for at, one in enumerate(requests) if one.barred is not None}
    return Eligibility(len(requests), histories.n_items, seen, None, own)


def _histories(requests: Sequence[ResolvedRequest], n_items: int) -> Histories:
    """Histories of all requests. If some have times, all events of the others get the same time."""
    lengths = [len(one.history) for one in requests]
    moments = None
    if any(one.times is not None for one in requests):
        filled = ([0] * len(one.history) if one.times is None else one.times for one in requests)
        moments = np.fromiter(chain.from_iterable(filled), np.int64, sum(lengths))
    weights = None
    if any(one.weights is not None for one in requests):
        each = ([1.0] * len(one.history) if one.weights is None else one.weights for one in requests)
        weights = np.fromiter(chain.from_iterable(each), np.float32, sum(lengths))
    return Histories(
        items=np.fromiter(chain.from_iterable(one.history for one in requests), np.int32, sum(lengths)),
        offsets=np.concatenate(([0], np.cumsum(lengths))).astype(np.int64),
        n_items=n_items,
        times=moments,
        weights=weights,
        dislikes=disliked([one.dislikes for one in requests], [one.strengths for one in requests], n_items),
    )
