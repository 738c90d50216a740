"""Gamma posteriors of one side of a Poisson factorization."""

from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln, psi

from foldin.tensors import Array, Float

__all__ = ["Gammas", "gamma_entropies", "gamma_entropy"]


@dataclass
class Gammas:
    """q of one side: shape and rate of the gammas of θ (or β), and rate of those of ξ (or η), whose shape is the constant κ."""

    shape: Float[Array, "rows factors"]
    rate: Float[Array, "rows factors"]
    activity_rate: Float[Array, " rows"]

    def rows(self, part: slice) -> "Gammas":
        """Those of some users or items, sharing memory with these."""
        return Gammas(self.shape[part], self.rate[part], self.activity_rate[part])

    @property
    def mean(self) -> Float[Array, "rows factors"]:
        return self.shape / self.rate

    @property
    def geometric(self) -> Float[Array, "rows factors"]:
        """exp E[log θ]."""
        return _geometric(self.shape, self.rate)


def _geometric(shape: Array, rate: Array) -> Float[Array, "rows factors"]:
    return np.exp(np.maximum(psi(shape), -300.0)) / rate


def gamma_entropy(shape: Array, rate: Array) -> float:
    """Sum of the entropies of gammas, in nats."""
    return float(np.sum(gamma_entropies(shape, rate)))


def gamma_entropies(shape: Array, rate: Array) -> Array:
    """Entropies of gammas, in nats."""
    return shape - np.log(rate) + gammaln(shape) + (1.0 - shape) * psi(shape)
