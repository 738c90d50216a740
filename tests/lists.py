"""Lists in a line, for tests."""

from typing import Any

from foldin.data import Histories
from foldin.models import Recommender
from foldin.ranking import Eligibility, RankedLists, Ranker, rank


def recommend(
    model: Recommender, histories: Histories, k: int, *, ranker: Ranker | None = None, keys=None, **eligible: Any
) -> RankedLists:
    """`rank`, with the arguments of `Eligibility.of`."""
    return rank(model, histories, k, ranker=ranker, keys=keys, eligible=Eligibility.of(histories, **eligible))
