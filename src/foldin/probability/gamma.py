"""Maximum-likelihood estimation for positive numbers: exponential, gamma and inverse gamma distributions.

Standard errors are 1/√(w I(θ)), with w the sum of the weights and I the Fisher information of one observation.
"""

import math
from typing import NamedTuple

import numpy as np
from torch.distributions import Exponential, Gamma, InverseGamma

from foldin.errors import FitError
from foldin.probability.fitted import Fitted, Weights, checked, fitted, refuse_equal
from foldin.probability.root import crossing
from foldin.probability.special import digamma_gap, excess, log_ratio, stirling, trigamma_gap
from foldin.tensors import Array, Float64

__all__ = ["Spread", "fit_exponential", "fit_gamma", "fit_inverse_gamma", "shape_of", "spread_of"]

_LOG_2_PI = math.log(2.0 * math.pi)


class Spread(NamedTuple):
    """Mean and spread of positive values.

    Args:
        mean: arithmetic mean.
        log_mean: logarithm of the mean.
        gap: logarithm of the mean minus the mean of the logarithms, at least 0.
    """

    mean: float
    log_mean: float
    gap: float


def spread_of(p: Array, ratio: Array, logs: Array, about: float) -> Spread:
    """Mean and spread of values, computed without cancellation.

    Args:
        p: normalized weights of the values.
        ratio: value ÷ about − 1.
        logs: log(value ÷ about).
        about: a number close to the mean.
    """
    shift = float(p @ ratio)
    d = (ratio - shift) / (1.0 + shift)
    near = np.abs(d) < 0.5
    terms = np.where(near, excess(np.where(near, d, 0.0)), d - logs + math.log1p(shift))
    return Spread(about * (1.0 + shift), math.log(about) + math.log1p(shift), float(p @ terms))


def _mean(x: Float64[Array, " n"], p: Float64[Array, " n"]) -> float:
    top = float(x.max())
    return float(p @ (x / top)) * top


def fit_exponential(x: Array, weights: Weights = None) -> Fitted:
    """Maximum-likelihood estimate of an exponential distribution: the rate λ is 1 / mean. I(λ) = 1/λ².

    Raises:
        FitError: all values are zero: the rate → ∞.
    """
    x, p, total = checked(x, weights, name="Exponential", low=0)
    if float(x.max()) == 0.0:
        raise FitError(
            "Exponential: all values are zero: the likelihood has no maximum, it grows without bound as the rate goes to ∞"
        )
    mean = _mean(x, p)
    rate = 1.0 / mean  # infinite where it overflows
    value = -total * (1.0 + math.log(mean))
    return fitted("Exponential", Exponential, {"rate": rate}, {"rate": rate / math.sqrt(total)}, value)


def shape_of(gap: float) -> float | None:
    """Shape a that solves log a − ψ(a) = gap, between 1/(2 gap) and 1/gap; None if no float is the solution."""
    return crossing(lambda a: float(digamma_gap(a)) - gap, 0.75 / gap) if gap > 1e-300 else None


def _parts(spread: Spread, total: float, name: str) -> tuple[float, float, float]:
    """(shape, relative standard error of the rate, mean log-likelihood in nats of values scaled to a mean of 1)."""
    shape = shape_of(spread.gap)
    if shape is None:
        raise FitError(f"{name}: the values differ by so little that their concentration is beyond what a float holds")
    value = 0.5 * math.log(shape) - 0.5 * _LOG_2_PI - float(stirling(shape)) - (shape - 1.0) * spread.gap
    return shape, math.sqrt((1.0 + 1.0 / float(trigamma_gap(shape))) / shape / total), value


def fit_gamma(x: Array, weights: Weights = None) -> Fitted:
    """Maximum-likelihood estimate of a gamma distribution.

    The shape a solves log a − ψ(a) = log x̄ − mean log x; the rate is a/x̄. Source: minka2002.

    Raises:
        FitError: all values are equal: the concentration → ∞.
    """
    x, p, total = checked(x, weights, name="Gamma", low=0, open_ends=True)
    refuse_equal(x, "Gamma", "the concentration goes to ∞ and the variance to 0")
    about = _mean(x, p)
    spread = spread_of(p, (x - about) / about, log_ratio(x, about), about)
    shape, error, value = _parts(spread, total, "Gamma")
    rate = shape / spread.mean
    errors = {"concentration": math.sqrt(shape / float(trigamma_gap(shape)) / total), "rate": rate * error}
    value = total * (value - spread.log_mean)
    return fitted("Gamma", Gamma, {"concentration": shape, "rate": rate}, errors, value)


def fit_inverse_gamma(x: Array, weights: Weights = None) -> Fitted:
    """Maximum-likelihood estimate of an inverse gamma distribution, by the gamma fit of 1/x.

    Raises:
        FitError: all values are equal: the concentration → ∞.
    """
    x, p, total = checked(x, weights, name="Inverse gamma", low=0, open_ends=True)
    refuse_equal(x, "Inverse gamma", "the concentration goes to ∞ and the variance to 0")
    least = float(x.min())
    about = least / float(p @ (least / x))  # the harmonic mean
    # The spread of y = 1/x in units of 1 ÷ harmonic mean, in which the mean of y is 1 up to rounding.
    spread = spread_of(p, (about - x) / x, -log_ratio(x, about), 1.0)
    shape, error, value = _parts(spread, total, "Inverse gamma")
    scale = shape / spread.mean * about
    errors = {"concentration": math.sqrt(shape / float(trigamma_gap(shape)) / total), "rate": scale * error}
    # log p(x) = log p(y) + 2 log y, with mean log y = log of the mean − gap.
    log_mean = spread.log_mean - math.log(about)
    value = total * (value + log_mean - 2.0 * spread.gap)
    return fitted("Inverse gamma", InverseGamma, {"concentration": shape, "rate": scale}, errors, value)
