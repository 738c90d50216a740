"""Metrics beyond accuracy: coverage, concentration and novelty of all lists together."""

import numpy as np

from foldin.tensors import Array, Float64, Int64

__all__ = ["coverage", "gini", "novelty"]


def coverage(lists: Int64[Array, "users k"], n_items: int) -> float:
    """Share of the catalog that is in at least one list."""
    return len(np.unique(lists[lists >= 0])) / n_items


def gini(lists: Int64[Array, "users k"], n_items: int) -> float:
    """Gini coefficient of how often each item is listed: 0 if all are listed equally, near 1 if one fills all lists."""
    counts = np.sort(np.bincount(lists[lists >= 0], minlength=n_items)).astype(np.float64)
    total = counts.sum()
    if total == 0:
        return 0.0
    weights = 2.0 * np.arange(1, n_items + 1) - n_items - 1
    return float((weights * counts).sum() / (n_items * total))


def novelty(lists: Int64[Array, "users k"], counts: Int64[Array, " items"], users: int) -> Float64[Array, " users"]:
    """Mean −log₂ of the share of training users who took each listed item, in bits; an item without users counts as half a user.

    Source: castells2011, self-information.
    """
    bits = -np.log2(np.maximum(counts, 0.5) / max(users, 1))
    listed = lists >= 0
    return np.where(listed, bits[lists], 0.0).sum(axis=1) / np.maximum(listed.sum(axis=1), 1)
