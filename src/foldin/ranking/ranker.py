"""The protocol of rankers, and `rank`, which applies a ranker to blocks of users."""

from collections.abc import Sequence
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
import torch

from foldin.data import Histories, count_of
from foldin.errors import ShapeError
from foldin.models import Recommender, keys_of
from foldin.ranking.eligibility import Eligibility
from foldin.ranking.exact import Exact
from foldin.ranking.lists import RankedLists, concatenated

__all__ = ["Ranker", "rank"]


@runtime_checkable
class Ranker(Protocol):
    """Protocol of a ranker, which turns a model's scores into lists of eligible items.

    Args:
        random: whether lists are drawn at random, by the keys of the users.
    """

    random: ClassVar[bool]

    def check(self, model: Recommender[Any]) -> None:
        """Raise unless the ranker can rank a model.

        Raises:
            ConfigError: the model lacks what it needs.
        """

    def block(self, model: Recommender[Any], k: int) -> int:
        """Number of users to rank at once, which bounds the memory."""

    def rank(
        self, model: Recommender[Any], histories: Histories, eligible: Eligibility, k: int, keys: Sequence[int]
    ) -> RankedLists:
        """The lists of a block of users.

        Args:
            k: at most the size of the catalog.
            keys: keys of the users for random draws; empty for rankers without random draws.
        """


@torch.no_grad()
def rank(
    model: Recommender[Any],
    histories: Histories,
    k: int,
    *,
    ranker: Ranker | None = None,
    eligible: Eligibility | None = None,
    keys: Sequence[int] | None = None,
) -> RankedLists:
    """A list for each user, which depends on the user's history, the eligible items and the ranker, and not on other users.

    Args:
        histories: the users' histories, oldest first, of any length. A user about whose history the model has learned nothing
            is given the most popular items (see `PopularStart`), or the model's list for an empty history.
        k: length of the lists; a k beyond the catalog is the catalog's size.
        ranker: ranker of the lists; `Exact` if None.
        eligible: items that may be listed for each user; all items that they have not taken if None.
        keys: keys of the users for random draws, from `user_key`; keys of their histories if None, so that equal histories are
            given equal lists.

    Raises:
        ShapeError: histories over another catalog, a k that is not a whole number of at least 1, or an eligibility or keys of
            another number of users.
        ConfigError: the model lacks what the ranker needs.
    """
    ranker = Exact() if ranker is None else ranker
    ranker.check(model)
    model.check_histories(histories)
    k = min(count_of(k, "k"), model.n_items)
    eligible = Eligibility.of(histories) if eligible is None else eligible
    if len(eligible) != len(histories) or eligible.n_items != model.n_items:
        raise ShapeError(
            f"the eligibility is that of {len(eligible):,} users over {eligible.n_items:,} items, the histories of "
            f"{len(histories):,} users over {model.n_items:,}"
        )
    if keys is not None and len(keys) != len(histories):
        raise ShapeError(f"{len(keys):,} keys of {len(histories):,} users")
    step, parts = ranker.block(model, k), []
    for start in range(0, max(1, len(histories)), step):
        part = histories.rows(start, min(start + step, len(histories)))
        own: Sequence[int] = ()
        if ranker.random:
            own = keys_of(part) if keys is None else keys[start : start + step]
        parts.append(ranker.rank(model, part, eligible.rows(start, start + step), k, own))
    found = concatenated(parts)
    # Empty places have no score, whatever a ranker left there.
    found.scores[found.items < 0] = -np.inf
    return found
