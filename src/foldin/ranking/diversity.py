"""Diversity of a list: maximal marginal relevance, and the greedy MAP of a determinantal point process.

Both choose a list item by item. With r_i the score of item i (log-probability in nats, where the model has one), S the
similarity of items and Y the items chosen so far, the next item maximizes

    MMR:  θ r_i − (1 − θ) max_{j ∈ Y} S_ij
    DPP:  θ r_i + (1 − θ) log (det S_{Y ∪ {i}} / det S_Y)

The second is the greedy step of the set function θ Σ r_i + (1 − θ) log det S_Y: that of a determinantal point process with
kernel diag(e^{αr}) S diag(e^{αr}), α = θ / (2 (1 − θ)). The conditional variance d_i² = det S_{Y ∪ {i}} / det S_Y of every
candidate is kept up to date by one row of the Cholesky factor for each chosen item, O(k) per candidate and item.

Source: carbonell1998 (MMR); chen2018b, algorithm 1 and equation 16 (greedy MAP, and θ).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import scipy.sparse

from foldin.errors import ConfigError
from foldin.tensors import Array, Float64

__all__ = ["DPP", "MMR", "Bonus", "Similarity", "alike_by_values", "alike_by_vectors"]

# Row of the similarities of one candidate to all candidates, by the candidate's position among them.
Similarity = Callable[[int], Float64[Array, " pool"]]

_LEAST = 1e-10  # smallest conditional variance: beyond the rank of S, all candidates are equally redundant


@runtime_checkable
class Bonus(Protocol):
    """What each candidate would add to the diversity of the items that are chosen so far."""

    def bonus(self) -> Float64[Array, " pool"]:
        """The addition of each candidate, to be multiplied by 1 − θ."""

    def add(self, at: int) -> None:
        """Choose the candidate at a position."""


@dataclass(frozen=True)
class MMR:
    """Maximal marginal relevance: an item loses by its similarity to the most similar item above it.

    Source: carbonell1998.

    Args:
        theta: weight θ of the score, in [0, 1]; that of the similarity is 1 − θ. At 1 the list is that of the scores.
        feature: feature of the items whose values define the similarity (Jaccard index of two items' values); if None, the
            similarity is (1 + cosine of the model's item vectors) / 2.

    Raises:
        ConfigError: θ outside [0, 1].
    """

    theta: float
    feature: str | None = None

    def __post_init__(self) -> None:
        _check(self.theta)

    def begin(self, similarity: Similarity, size: int) -> Bonus:
        """The state before the first item is chosen from a pool of the given size."""
        return _Nearest(similarity, size)


@dataclass(frozen=True)
class DPP:
    """Greedy MAP of a determinantal point process: an item gains by the volume that it adds to the items above it.

    Source: chen2018b, algorithm 1.

    Args:
        theta: weight θ of the score, in [0, 1]; that of the log-determinant is 1 − θ. At 1 the list is that of the scores.
        feature: feature of the items whose values define the similarity (Jaccard index of two items' values); if None, the
            similarity is (1 + cosine of the model's item vectors) / 2.

    Raises:
        ConfigError: θ outside [0, 1].
    """

    theta: float
    feature: str | None = None

    def __post_init__(self) -> None:
        _check(self.theta)

    def begin(self, similarity: Similarity, size: int) -> Bonus:
        """The state before the first item is chosen from a pool of the given size."""
        return _Volume(similarity, size)


def _check(theta: float) -> None:
    if isinstance(theta, bool) or not isinstance(theta, int | float) or not 0.0 <= theta <= 1.0:
        raise ConfigError(f"diversity: theta must be a number in [0, 1], not {theta!r}")


class _Nearest:
    """−(similarity to the nearest chosen item), 0 before there is one."""

    def __init__(self, similarity: Similarity, size: int) -> None:
        self._similarity, self._nearest = similarity, np.zeros(size)

    def bonus(self) -> Float64[Array, " pool"]:
        return -self._nearest

    def add(self, at: int) -> None:
        self._nearest = np.maximum(self._nearest, self._similarity(at))


class _Volume:
    """log d_i², the logarithm of the conditional variance given the chosen items, by an incremental Cholesky factor."""

    def __init__(self, similarity: Similarity, size: int) -> None:
        self._similarity, self._variance = similarity, np.ones(size)
        self._rows: list[Float64[Array, " pool"]] = []

    def bonus(self) -> Float64[Array, " pool"]:
        return np.log(np.maximum(self._variance, _LEAST))

    def add(self, at: int) -> None:
        if self._variance[at] <= _LEAST:
            return  # it is a combination of the chosen items, and changes no conditional variance
        row = self._similarity(at)
        if self._rows:
            c = np.stack(self._rows)
            row = row - c[:, at] @ c
        e = row / np.sqrt(self._variance[at])
        self._rows.append(e)
        self._variance = self._variance - e * e


def alike_by_vectors(vectors: Float64[Array, "pool dim"]) -> Similarity:
    """(1 + cosine) / 2 of vectors, in [0, 1]; 1 of an item with itself, also where its vector is zero.

    The cosine itself would not do: a determinant takes opposite vectors for equal ones.
    """
    lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))[:, None]
    units = vectors / np.where(lengths > 0, lengths, 1.0)

    def row(at: int) -> Float64[Array, " pool"]:
        found = np.asarray((1.0 + units @ units[at]) / 2.0, dtype=np.float64)
        found[at] = 1.0
        return found

    return row


def alike_by_values(having: scipy.sparse.csr_array) -> Similarity:
    """Jaccard index of the values of two items, in [0, 1]: the number of common values over that of all their values.

    Items without a value are similar to none but themselves.

    Args:
        having: (pool, values), 1 where an item of the pool has a value.
    """
    counts = np.diff(having.indptr).astype(np.float64)

    def row(at: int) -> Float64[Array, " pool"]:
        common = having @ having[[at]].toarray()[0]
        union = counts + counts[at] - common
        found = np.asarray(np.where(union > 0, common / np.maximum(union, 1.0), 0.0), dtype=np.float64)
        found[at] = 1.0
        return found

    return row
