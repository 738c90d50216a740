"""What the weights of experts maximize on held-out users, as options of `ProductOfExperts`."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from foldin.tensors import Array, Float64
from foldin.training import Option, setting

__all__ = ["HeldOutLikelihood", "HeldOutNDCG"]

# Factors by which one weight at a time is multiplied: first coarse, then fine.
_FACTORS = ((0.0, 0.25, 0.5, 2.0, 4.0), (0.7, 0.84, 1.19, 1.41), (0.92, 0.96, 1.04, 1.09))
_ROUNDS = 5  # over the weights, for each of these
_GAIN = 1e-9

Weights = Float64[Array, " experts"]


@dataclass(frozen=True, kw_only=True)
class HeldOutLikelihood(Option):
    """The mean log-likelihood of the held-out items, which is concave in the weights."""

    name = "likelihood"

    def refined(self, weights: Weights, ndcg: Callable[[Weights, int], float]) -> Weights:
        """The weights of the largest likelihood, as they are."""
        return weights


@dataclass(frozen=True, kw_only=True)
class HeldOutNDCG(Option):
    """NDCG of the held-out items, by a search one weight at a time from those of the largest likelihood.

    Lists do not depend on the common scale of the weights, which is that of the largest likelihood.
    """

    name = "ndcg"
    k: int = setting(100, "Length of the lists.", low=1)

    def refined(self, weights: Weights, ndcg: Callable[[Weights, int], float]) -> Weights:
        """The weights of the largest NDCG that the search finds; those given if it finds no larger one.

        Args:
            weights: the weights to begin with, in units in which all have about one size.
            ndcg: function of weights and of the length of lists.
        """
        best, value = weights, ndcg(weights, self.k)
        for factors in _FACTORS:
            for _ in range(_ROUNDS):
                before = value
                for at in range(len(weights)):
                    for other in _changed(best, at, factors):
                        found = ndcg(other, self.k)
                        if found > value + _GAIN:
                            best, value = other, found
                if value == before:
                    break
        return best


def _changed(weights: Weights, at: int, factors: tuple[float, ...]) -> list[Weights]:
    """The weights with one of them multiplied by each factor, or, where it is 0, set to that share of the mean weight."""
    found = []
    for factor in factors:
        other = weights.copy()
        other[at] = factor * (weights[at] if weights[at] > 0.0 else weights.mean())
        if other.any() and not np.array_equal(other, weights):
            found.append(other)
    return found
