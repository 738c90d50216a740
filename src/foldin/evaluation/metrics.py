"""Ranking metrics of each user, from the ranks of the relevant items in a list.

Every function takes `hits`, whether each place of each user's list is relevant, best place first, and `relevant`,
the number of relevant items of each user, which must be at least 1.
"""

from collections.abc import Callable

import numpy as np

from foldin.tensors import Array, Bool, Float64, Int64

__all__ = ["METRICS", "Metric", "hit_rate", "map_", "mrr", "ndcg", "recall", "recall_all"]

Metric = Callable[[Bool[Array, "users k"], Int64[Array, " users"]], Float64[Array, " users"]]


def recall(hits: Bool[Array, "users k"], relevant: Int64[Array, " users"]) -> Float64[Array, " users"]:
    """Relevant items in the list over min(k, relevant), so that 1 can always be reached.

    Source: liang2018, section 4.2.
    """
    return hits.sum(axis=1) / np.minimum(relevant, hits.shape[1])


def recall_all(hits: Bool[Array, "users k"], relevant: Int64[Array, " users"]) -> Float64[Array, " users"]:
    """Relevant items in the list over all relevant items."""
    return hits.sum(axis=1) / relevant


def ndcg(hits: Bool[Array, "users k"], relevant: Int64[Array, " users"]) -> Float64[Array, " users"]:
    """Discounted gain of the relevant items, Σ 1/log₂(place + 1), divided by that of the best list of k places."""
    gains = 1.0 / np.log2(np.arange(2, hits.shape[1] + 2))
    best = np.concatenate(([0.0], np.cumsum(gains)))
    return (hits @ gains) / best[np.minimum(relevant, hits.shape[1])]


def hit_rate(hits: Bool[Array, "users k"], relevant: Int64[Array, " users"]) -> Float64[Array, " users"]:
    """1 if any relevant item is in the list, else 0."""
    return np.asarray(hits.any(axis=1), dtype=np.float64)


def mrr(hits: Bool[Array, "users k"], relevant: Int64[Array, " users"]) -> Float64[Array, " users"]:
    """1 / place of the first relevant item; 0 if none is in the list."""
    return np.where(hits.any(axis=1), 1.0 / (hits.argmax(axis=1) + 1.0), 0.0)


def map_(hits: Bool[Array, "users k"], relevant: Int64[Array, " users"]) -> Float64[Array, " users"]:
    """Mean over all relevant items of the precision at their places; 0 for those not in the list."""
    precision = np.cumsum(hits, axis=1) / np.arange(1, hits.shape[1] + 1)
    return (precision * hits).sum(axis=1) / relevant


METRICS: dict[str, Metric] = {
    "recall": recall,
    "recall_all": recall_all,
    "ndcg": ndcg,
    "hit_rate": hit_rate,
    "mrr": mrr,
    "map": map_,
}
