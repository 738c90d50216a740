"""Confidence sequences of the difference of two means of outcomes in a known range, such as clicks: exact at any time.

A mixture of likelihood ratios of zeros and ones is used for outcomes between them too. It takes the small variance of rare hits
into account, where a bound by the range alone does not. See `anytime.py` for what a confidence sequence promises.

Source: robbins1970; howard2021, proposition 7 (beta-binomial mixture).
"""

import numpy as np

from foldin.errors import ConfigError, ShapeError
from foldin.evaluation.anytime import Ends
from foldin.evaluation.running import RunningMean
from foldin.tensors import Array, Float64

__all__ = ["bounded_p_value", "bounded_sequence"]

_HALVINGS = 60
_SMALLEST, _LARGEST = -60.0, 90.0  # log of the multiplier, between which the end of an interval lies


def bounded_sequence(
    control: RunningMean,
    treatment: RunningMean,
    *,
    low: float = 0.0,
    high: float = 1.0,
    level: float = 0.95,
    prior: tuple[float, float] = (0.5, 0.5),
) -> Ends:
    """Ends of a confidence sequence of the difference of two means, treatment − control, exact for any numbers of outcomes.

    For n outcomes in [0, 1] with sum S, the likelihood ratio q^S (1 − q)^{n − S} / (p^S (1 − p)^{n − S}), averaged over
    q ~ Beta(a, b), is

        log M(p) = log B(a + S, b + n − S) − log B(a, b) − S log p − (n − S) log(1 − p)

    which for zeros and ones does not rise in expectation at the true p, nor, by convexity, for anything between. The ends are the
    smallest and the largest p₁ − p₀ with log M₁(p₁) + log M₀(p₀) ≤ log(1/α), found by a Lagrange multiplier.

    Source: robbins1970; howard2021, proposition 7.

    Args:
        low, high: range of the outcomes.
        prior: a and b, chosen before the first look. The interval holds with any; it is shorter where the rates are near a prior
            such as (2, 98) for 2 %, while ½ and ½ favor no rate.

    Raises:
        ConfigError: a level outside (0, 1), an empty range, or a prior that is not positive.
        ShapeError: a mean outside the range.
    """
    if not 0.0 < level < 1.0:
        raise ConfigError(f"level: a number between 0 and 1 was expected, not {level:g}")
    first, second = (_hits(arm, low, high) for arm in (control, treatment))
    length = high - low
    least = -_largest_difference(second, first, 1.0 - level, prior)
    return least * length, _largest_difference(first, second, 1.0 - level, prior) * length


def bounded_p_value(
    control: RunningMean,
    treatment: RunningMean,
    *,
    low: float = 0.0,
    high: float = 1.0,
    prior: tuple[float, float] = (0.5, 0.5),
) -> Float64[Array, "..."]:
    """p-value, valid at any time, of the hypothesis that the means are equal, for outcomes in a known range.

        p = min(1, 1 / min_p M₀(p) M₁(p)),   which has its minimum at the mean of all outcomes

    It is at most α exactly if the interval of `bounded_sequence` at level 1 − α does not hold 0.

    Source: as `bounded_sequence`.

    Raises:
        ConfigError, ShapeError: as `bounded_sequence`.
    """
    (n0, s0), (n1, s1) = (_hits(arm, low, high) for arm in (control, treatment))
    pooled = np.clip((s0 + s1) / np.maximum(n0 + n1, 1.0), 0.0, 1.0)
    equal = _log_likelihood(n0, s0, pooled) + _log_likelihood(n1, s1, pooled)
    return np.exp(np.minimum(0.0, equal - _log_evidence(n0, s0, prior) - _log_evidence(n1, s1, prior)))


def _hits(arm: RunningMean, low: float, high: float) -> tuple[Float64[Array, "..."], Float64[Array, "..."]]:
    """(n, S) of outcomes that are scaled to [0, 1]."""
    if not (np.isfinite([low, high]).all() and low < high):
        raise ConfigError(f"low and high: a range was expected, not {low:g} to {high:g}")
    share = np.where(arm.count > 0.0, (arm.mean - low) / (high - low), 0.0)
    if (share < -1e-9).any() or (share > 1.0 + 1e-9).any():
        raise ShapeError(
            f"outcomes from {low:g} to {high:g} have a mean between; met {arm.mean.min():g} to {arm.mean.max():g}"
        )
    return arm.count, arm.count * np.clip(share, 0.0, 1.0)


def _log_evidence(
    n: Float64[Array, "..."], hits: Float64[Array, "..."], prior: tuple[float, float]
) -> Float64[Array, "..."]:
    """log of the likelihood of an arm's outcomes, averaged over the prior."""
    from scipy.special import betaln

    a, b = prior
    if not (a > 0.0 and b > 0.0):
        raise ConfigError(f"prior: two positive numbers were expected, not {a:g} and {b:g}")
    return betaln(a + hits, b + n - hits) - betaln(a, b)


def _log_likelihood(
    n: Float64[Array, "..."], hits: Float64[Array, "..."], p: Float64[Array, "..."]
) -> Float64[Array, "..."]:
    """log of the likelihood of an arm's outcomes at p; −∞ where they exclude it."""
    from scipy.special import xlog1py, xlogy

    with np.errstate(divide="ignore"):
        return xlogy(hits, p) + xlog1py(n - hits, -p)


def _largest_difference(
    smaller: tuple[Float64[Array, "..."], Float64[Array, "..."]],
    larger: tuple[Float64[Array, "..."], Float64[Array, "..."]],
    alpha: float,
    prior: tuple[float, float],
) -> Float64[Array, "..."]:
    """The largest p₁ − p₀ with log M₀(p₀) + log M₁(p₁) ≤ log(1/α), p₀ that of the first arm.

    At the largest, the derivatives of the two terms are −κ and κ with a multiplier κ > 0: two quadratic equations, whose
    solutions part as κ grows.
    """
    (n0, s0), (n1, s1) = smaller, larger
    shape = np.broadcast_shapes(n0.shape, n1.shape)
    low, high = np.full(shape, _SMALLEST), np.full(shape, _LARGEST)
    least = np.log(alpha) + _log_evidence(n0, s0, prior) + _log_evidence(n1, s1, prior)
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        p0, p1 = _at_multiplier(np.exp(middle), n0, s0, n1, s1)
        inside = _log_likelihood(n0, s0, p0) + _log_likelihood(n1, s1, p1) >= least
        low, high = np.where(inside, middle, low), np.where(inside, high, middle)
    p0, p1 = _at_multiplier(np.exp(high), n0, s0, n1, s1)
    return p1 - p0


def _at_multiplier(
    kappa: Float64[Array, "..."],
    n0: Float64[Array, "..."],
    s0: Float64[Array, "..."],
    n1: Float64[Array, "..."],
    s1: Float64[Array, "..."],
) -> tuple[Float64[Array, "..."], Float64[Array, "..."]]:
    """(p₀, p₁) with (n₀p₀ − S₀) / (p₀(1 − p₀)) = −κ and (n₁p₁ − S₁) / (p₁(1 − p₁)) = κ, by the forms in which nothing cancels."""
    p0 = 2.0 * s0 / (n0 + kappa + np.sqrt(np.maximum(np.square(n0 + kappa) - 4.0 * kappa * s0, 0.0)))
    b = n1 - kappa
    root = np.sqrt(np.square(b) + 4.0 * kappa * s1)
    p1 = np.where(b > 0.0, 2.0 * s1 / np.maximum(b + root, 1e-300), (root - b) / (2.0 * kappa))
    return p0, np.clip(p1, 0.0, 1.0)
