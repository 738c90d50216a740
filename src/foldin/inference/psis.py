"""Pareto-smoothed importance sampling: are weights p/q to be trusted, and if not by how much.

The largest ratios follow a generalised Pareto law; its shape k̂ says how many moments the ratios have. Below 0.7 estimates by
importance sampling, and the approximation q itself, are useful; above it q misses some of the mass of p.

Source: vehtari2024, section 2 and algorithm 1; zhang2009 (the fit of the Pareto law), eqs. 4–7; yao2018 (k̂ for
variational inference).
"""

import math

import numpy as np

from foldin.errors import ShapeError
from foldin.tensors import Array, Float64

__all__ = ["pareto_shape", "psis"]


def pareto_shape(excesses: Float64[Array, " n"]) -> tuple[float, float]:
    """(k, σ) of the generalised Pareto law of positive excesses: the posterior mean of Zhang and Stephens.

    Raises:
        ShapeError: fewer than five excesses.
    """
    x = np.sort(excesses)
    n = len(x)
    if n < 5:
        raise ShapeError(f"a Pareto law needs at least five excesses, not {n}")
    if x[-1] <= 0.0:
        return -math.inf, 0.0
    x = np.maximum(x, x[-1] * 1e-12)
    count = 30 + int(math.sqrt(n))
    quartile = x[int(n / 4 + 0.5) - 1]
    grid = 1.0 - np.sqrt(count / (np.arange(1, count + 1) - 0.5))
    theta = 1.0 / x[-1] + grid / (3.0 * quartile)
    shapes = np.mean(np.log1p(-theta[:, None] * x), axis=1)
    profile = n * (np.log(-theta / shapes) - shapes - 1.0)
    weights = np.exp(profile - profile.max())
    best = float((theta * weights).sum() / weights.sum())
    k = float(np.mean(np.log1p(-best * x)))
    sigma = -k / best
    # A weak prior towards 0.5, worth ten excesses.
    return (n * k + 10 * 0.5) / (n + 10.0), sigma


def psis(log_ratios: Float64[Array, " draws"]) -> tuple[Float64[Array, " draws"], float]:
    """(log of the smoothed and normalised weights, k̂).

    Args:
        log_ratios: log p − log q of draws from q, up to a constant.
    """
    draws = len(log_ratios)
    shifted = log_ratios - log_ratios.max()
    tail = math.ceil(min(0.2 * draws, 3.0 * math.sqrt(draws)))
    if tail < 5:
        raise ShapeError(f"smoothing needs at least 25 draws, not {draws}")
    order = np.argsort(shifted, kind="stable")
    cutoff = math.exp(shifted[order[-tail - 1]])
    k, sigma = pareto_shape(np.exp(shifted[order[-tail:]]) - cutoff)
    smoothed = shifted.copy()
    if math.isfinite(k):
        places = (np.arange(1, tail + 1) - 0.5) / tail
        quantiles = -np.log1p(-places) if abs(k) < 1e-12 else np.expm1(-k * np.log1p(-places)) / k
        smoothed[order[-tail:]] = np.minimum(np.log(cutoff + sigma * quantiles), 0.0)
    smoothed -= smoothed.max() + math.log(np.exp(smoothed - smoothed.max()).sum())
    return smoothed, k
