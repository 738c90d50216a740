"""Maximum-likelihood estimation for shares: beta and Dirichlet distributions.

At the maximum ψ(a_k) = ψ(s) + mean log x_k with s = Σ a_k. This is solved for the single number s: each s gives every a_k, and
their sum must again be s. With m_k the mean share and a_k = s m_k exp(ε_k), the sum is right where Σ m_k (exp(ε_k) − 1) = 0, in
which nothing cancels, however large s is.

Source: minka2000, eqs. 6–13.
"""

import math

import numpy as np
from torch.distributions import Beta, Dirichlet

from foldin.errors import FitError
from foldin.probability.fitted import Fitted, Weights, checked, fitted, refuse_equal
from foldin.probability.gamma import spread_of
from foldin.probability.root import crossing
from foldin.probability.special import digamma_gap, log_ratio, stirling, trigamma_gap
from foldin.tensors import Array, Float64

__all__ = ["fit_beta", "fit_dirichlet"]

_LOG_2_PI = math.log(2.0 * math.pi)
_STEPS = 60


def _tilts(s: float, mean: Array, gap: Array) -> Array:
    """The ε_k for which a_k = s m_k exp(ε_k) and ψ(a_k) = ψ(s) + log m_k − gap_k, by Newton's method on a concave function."""
    least = np.log(s) + np.log(mean)
    aim = float(digamma_gap(s)) + gap
    target = least - aim  # ψ(a_k)
    small = target < -2.22
    guess = np.where(
        small,
        -np.log(np.where(small, -(target + np.euler_gamma), 1.0)),
        np.logaddexp(np.where(small, 0.0, target), math.log(0.5)),
    )
    tilt = np.where(least > 10.0, -gap, guess - least)
    for _ in range(_STEPS):
        a = np.exp(np.minimum(least + tilt, 700.0))
        step = (tilt - digamma_gap(a) + aim) / (1.0 + trigamma_gap(a))
        tilt = tilt - step
        if (np.abs(step) <= 1e-9 * np.abs(tilt)).all():  # the next step would be of the order of its square
            break
    return tilt


def _shares(mean: Array, gap: Array, start: float, total: float, name: str) -> tuple[Array, Array, float]:
    """(concentrations a, standard errors, mean log-likelihood in nats) from the mean shares and their gaps.

    The gap of a share is the logarithm of its mean minus the mean of its logarithms.
    """

    def excess_sum(s: float) -> float:
        return float(mean @ np.expm1(_tilts(s, mean, gap)))

    s = crossing(excess_sum, start)
    if s is None:
        raise FitError(f"{name}: the values differ by so little that their concentration is beyond what a float holds")
    tilt = _tilts(s, mean, gap)
    a = s * mean * np.exp(tilt)
    # 1/ψ'(a) = a − t/ψ' with t = a ψ' − 1: in Σ 1/ψ'(a_k) − 1/ψ'(s) the first terms cancel, and only the second are left.
    t, whole = trigamma_gap(a), float(trigamma_gap(s))
    inverse = a / (1.0 + t)
    left = float((inverse * t).sum() - s / (1.0 + whole) * whole)
    errors = np.sqrt(inverse / total) * np.sqrt(1.0 + inverse / left)
    value = 0.5 * (np.log(a).sum() - math.log(s) - (len(a) - 1) * _LOG_2_PI) + float(stirling(s)) - stirling(a).sum()
    value -= (a * (tilt + gap)).sum() + (np.log(mean) - gap).sum()
    return a, errors, float(value)


def fit_beta(x: Array, weights: Weights = None) -> Fitted:
    """Maximum-likelihood estimate of a beta distribution from values in (0, 1): a Dirichlet distribution of two shares.

    Raises:
        FitError: all values are equal: both concentrations → ∞.
    """
    x, p, total = checked(x, weights, name="Beta", low=0, high=1, open_ends=True)
    refuse_equal(x, "Beta", "the concentrations go to ∞ and the variance to 0")
    # Measured from the nearer end, in differences that lose no digits.
    turned = float(p @ x) > 0.5
    y, other = (1.0 - x, x) if turned else (x, 1.0 - x)
    mean, rest = float(p @ y), float(p @ other)
    ratio = (mean - y) / rest
    near = np.abs(ratio) < 0.5
    logs = np.where(near, np.log1p(np.where(near, ratio, 0.0)), np.log(other) - math.log(rest))
    spreads = spread_of(p, (y - mean) / mean, log_ratio(y, mean), mean), spread_of(p, ratio, logs, rest)
    means, gaps = np.array([one.mean for one in spreads]), np.array([one.gap for one in spreads])
    a, errors, value = _shares(means, gaps, _strength(p, y[:, None], np.array([mean])), total, "Beta")
    if turned:
        a, errors = a[::-1].copy(), errors[::-1].copy()
    return fitted(
        "Beta",
        Beta,
        {"concentration1": a[0], "concentration0": a[1]},
        {"concentration1": errors[0], "concentration0": errors[1]},
        total * value,
    )


def _strength(p: Array, x: Array, mean: Array) -> float:
    """Estimate of Σ a_k by the method of moments."""
    variance = float((p @ (x - mean) ** 2).sum())
    return max(float((mean * (1.0 - mean)).sum()) / max(variance, 1e-300) - 1.0, 1e-2)


def fit_dirichlet(x: Float64[Array, "n k"] | Array, weights: Weights = None) -> Fitted:
    """Maximum-likelihood estimate of a Dirichlet distribution from rows of shares that sum to 1.

    A row whose sum is within 10⁻⁶ of 1 is divided by its sum.

    Raises:
        FitError: a row does not sum to 1, a share is 0, or all rows are equal: the concentrations → ∞.
    """
    x, p, total = checked(x, weights, name="Dirichlet", low=0, high=1, axes=2)
    if (x == 0.0).any():
        row, column = (int(i) for i in np.argwhere(x == 0.0)[0])
        raise FitError(f"Dirichlet: the share in row {row}, column {column} is 0: every share must be positive")
    sums = x.sum(axis=1)
    if np.abs(sums - 1.0).max() > 1e-6:
        row = int(np.abs(sums - 1.0).argmax())
        raise FitError(f"Dirichlet: row {row} sums to {sums[row]:g}, not to 1")
    x = x / sums[:, None]
    refuse_equal(x, "Dirichlet", "the concentrations go to ∞ and the variances to 0")
    mean = p @ x
    spreads = [
        spread_of(p, (column - m) / m, log_ratio(column, m), m) for column, m in zip(x.T, mean.tolist(), strict=True)
    ]
    means, gaps = np.array([one.mean for one in spreads]), np.array([one.gap for one in spreads])
    a, errors, value = _shares(means, gaps, _strength(p, x, mean), total, "Dirichlet")
    return fitted("Dirichlet", Dirichlet, {"concentration": a}, {"concentration": errors}, total * value)
