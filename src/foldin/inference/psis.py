"""Pareto-smoothed importance sampling, and diagnostics of how far the weights p/q can be trusted.

The largest ratios follow a generalized Pareto distribution, whose shape k̂ says how many moments the ratios have. Below 0.7,
estimates by importance sampling and the approximation q itself are useful; above it, q misses some of the mass of p. The
effective sample size is the number of equally weighted draws that would do as well, if the observed weights were all there are.

All computations use logarithms, so that k̂ is right however far apart the ratios lie.

Source: vehtari2024, section 2 and algorithm 1; zhang2009 (the fit of the Pareto distribution), eqs. 4–7; yao2018 (k̂ for
variational inference); kong1992 (the effective sample size).
"""

import math

import numpy as np

from foldin.errors import ShapeError
from foldin.tensors import Array, Float64

__all__ = ["effective_sample_size", "pareto_shape", "psis"]

_FEWEST = 5  # fewest excesses to which a Pareto distribution can be fitted
_PRIOR, _WORTH = 0.5, 10.0  # mean of a weak prior on k, and its weight in excesses


def _fitted(log_excesses: Float64[Array, " n"]) -> tuple[float, float]:
    """(k, log σ) of the generalized Pareto distribution of excesses, given by their logarithms in ascending order.

    The computation is in units of their lower quartile, in which all quantities are of moderate size.
    """
    n = len(log_excesses)
    quartile = log_excesses[int(n / 4 + 0.5) - 1]
    if quartile == -math.inf:  # a quarter of them underflowed: the spread cannot be measured
        return math.inf, math.nan
    y = log_excesses - quartile
    count = 30 + int(math.sqrt(n))
    theta = math.exp(-y[-1]) + (1.0 - np.sqrt(count / (np.arange(1, count + 1) - 0.5))) / 3.0

    def shape(theta: Float64[Array, " grid"]) -> Float64[Array, " grid"]:
        """The mean of log(1 − θ exp(y)) over the excesses; θ < exp(−y) for all of them."""
        with np.errstate(divide="ignore"):
            at = np.log(np.abs(theta))[:, None] + y
        positive = (theta > 0.0)[:, None]
        upper = np.where(positive, -math.inf, np.logaddexp(0.0, at))
        return np.mean(np.where(positive, np.log1p(-np.exp(np.where(positive, at, -math.inf))), upper), axis=1)

    theta = theta[theta != 0.0]
    shapes = shape(theta)
    profile = n * (np.log(-theta / shapes) - shapes - 1.0)
    weights = np.exp(profile - profile.max())
    best = np.array([(theta * weights).sum() / weights.sum()])
    k = float(shape(best)[0])
    log_sigma = quartile + math.log(-k / best[0])
    return (n * k + _WORTH * _PRIOR) / (n + _WORTH), log_sigma


def pareto_shape(excesses: Float64[Array, " n"]) -> tuple[float, float]:
    """(k, σ) of the generalized Pareto distribution of positive excesses, by the posterior mean of Zhang and Stephens.

    Excesses of 0 are taken for values too small for a double: if a quarter of them are 0, k is ∞ and σ is 0; if all are, k is
    −∞ and σ is 0.

    Raises:
        ShapeError: fewer than five excesses, or some that are negative or not finite.
    """
    x = np.sort(excesses)
    if len(x) < _FEWEST:
        raise ShapeError(f"a Pareto law needs at least five excesses, not {len(x)}")
    if not np.isfinite(x).all() or x[0] < 0.0:
        raise ShapeError(f"excesses must be finite and at least 0, not {x[0]:g} to {x[-1]:g}")
    if x[-1] == 0.0:
        return -math.inf, 0.0
    with np.errstate(divide="ignore"):
        k, log_sigma = _fitted(np.log(x))
    return k, 0.0 if math.isnan(log_sigma) else math.exp(log_sigma)


def _log_quantiles(k: float, n: int) -> Float64[Array, " n"]:
    """Logarithms of the quantiles at (i − ½)/n of the generalized Pareto distribution of shape k and scale σ = 1."""
    reach = -np.log1p(-(np.arange(1, n + 1) - 0.5) / n)
    if abs(k) < 1e-12:
        return np.log(reach)
    grown = k * reach
    return np.maximum(grown, 0.0) + np.log(-np.expm1(-np.abs(grown))) - math.log(abs(k))


def _checked(log_ratios: Float64[Array, " draws"]) -> Float64[Array, " draws"]:
    """The log ratios, shifted so that the largest is 0."""
    top = log_ratios.max(initial=-math.inf)
    if not math.isfinite(top):
        raise ShapeError(f"log ratios must be finite or −∞, and one of them finite; the largest is {top}")
    return log_ratios - top


def psis(log_ratios: Float64[Array, " draws"]) -> tuple[Float64[Array, " draws"], float]:
    """(log of the smoothed and normalized weights, k̂).

    k̂ is fitted to the ratios above the cutoff, without those equal to it. It is −∞ if no ratio is above the cutoff, and ∞, with
    weights that are not smoothed, if some are but fewer than five.

    Args:
        log_ratios: log p − log q of draws from q, up to a constant; −∞ where p is 0.

    Raises:
        ShapeError: fewer than 25 draws, or a ratio that is not a number or ∞, or all −∞.
    """
    draws = len(log_ratios)
    tail = math.ceil(min(0.2 * draws, 3.0 * math.sqrt(draws)))
    if tail < _FEWEST:
        raise ShapeError(f"smoothing needs at least 25 draws, not {draws}")
    shifted = _checked(log_ratios)
    order = np.argsort(shifted, kind="stable")
    cutoff = shifted[order[-tail - 1]]
    above = order[-tail:][shifted[order[-tail:]] > cutoff]
    k = -math.inf if len(above) == 0 else math.inf
    smoothed = shifted.copy()
    if len(above) >= _FEWEST:
        values = shifted[above]
        k, log_sigma = _fitted(values + np.log(-np.expm1(cutoff - values)))
        smoothed[above] = np.minimum(np.logaddexp(cutoff, log_sigma + _log_quantiles(k, len(above))), 0.0)
    smoothed -= smoothed.max() + math.log(np.exp(smoothed - smoothed.max()).sum())
    return smoothed, k


def effective_sample_size(log_ratios: Float64[Array, " draws"]) -> float:
    """Effective sample size (Σ w)² / Σ w²: the number of equally weighted draws that give an estimate of the same variance.

    It lies between 1 and the number of draws. Where k̂ is above 0.7 it is too high, since the missing weights are the largest.

    Source: kong1992.

    Raises:
        ShapeError: a ratio that is not a number or ∞, or all −∞.
    """
    weights = np.exp(_checked(log_ratios))
    return float(weights.sum() ** 2 / np.square(weights).sum())
