"""Confidence intervals of means over users: exact for few users or rare hits, fast for many users.

A percentile bootstrap cannot represent what the sample has not seen: of samples of 79 users with a hit rate of 3 %, one in eleven
has no hit at all, and its interval is [0, 0]. Two methods avoid this, by what is known of the values:

    shares (ranking metrics lie in [0, 1])   random weights of all observations and of an additional one, at the end of the range
    anything else                            the studentized bootstrap
"""

import numpy as np

from foldin.errors import ShapeError
from foldin.tensors import Array, Float64

__all__ = ["LEAST_USERS", "bootstrap_interval", "share_interval", "studentized_interval"]

LEAST_USERS = 10  # below which there is no interval
# Most distinct values to draw weights for, and most values to resample; for more, the expansion to which both converge is used.
_MOST_DRAWN = 3_000
_FEW = 30  # with fewer users off the most common value, resampling does not represent users outside the sample
_NONE = (float("nan"), float("nan"))
Interval = tuple[float, float]


def bootstrap_interval(
    values: Float64[Array, " users"], *, level: float = 0.95, draws: int = 1000, seed: int = 0
) -> Interval:
    """Confidence interval of the mean over users: `share_interval` if all values lie in [0, 1], else `studentized_interval`.

    It is (nan, nan) if there is no interval: for fewer than `LEAST_USERS` users, a value that is not finite, or values of unknown
    range without any spread.

    Raises:
        ShapeError: a level outside (0, 1), or no draws.
    """
    shares = len(values) > 0 and float(np.min(values)) >= 0.0 and float(np.max(values)) <= 1.0
    method = share_interval if shares else studentized_interval
    return method(values, level=level, draws=draws, seed=seed)


def share_interval(
    values: Float64[Array, " users"], *, level: float = 0.95, draws: int = 1000, seed: int = 0
) -> Interval:
    """Confidence interval of the mean of values in [0, 1], which keeps its level however rare the hits are.

    The upper end is the quantile of Σ_i w_i x_i + w_0 · 1 over w ~ Dirichlet(1, …, 1), the lower end that of
    Σ_i w_i x_i + w_0 · 0: a Bayesian bootstrap with one more observation, at the end of the range. For zeros and ones it is
    the exact interval of Clopper and Pearson. That its coverage is at least `level` is proved for those, and conjectured
    for all shares, with no known counterexample. It is (nan, nan) in the cases of `bootstrap_interval`.

    Source: gaffke2005 (the quantile); rubin1981 (the Bayesian bootstrap); clopper1934.

    Raises:
        ShapeError: a value outside [0, 1], a level outside (0, 1), or no draws.
    """
    _check(level, draws)
    if not _enough(values):
        return _NONE
    if values.min() < 0.0 or values.max() > 1.0:
        raise ShapeError(f"shares lie in [0, 1]; met {values.min():g} to {values.max():g}")
    low, high = _weighted(values, 0.0, 1.0, level, draws, seed)
    return max(low, 0.0), min(high, 1.0)


def studentized_interval(
    values: Float64[Array, " users"], *, level: float = 0.95, draws: int = 1000, seed: int = 0
) -> Interval:
    """Confidence interval of the mean by the studentized bootstrap, which accounts for the skewness of the values.

        [x̄ − s t*_{(1+level)/2} / √n,   x̄ − s t*_{(1−level)/2} / √n],   t* = √n (x̄* − x̄) / s*

    For more than 3,000 values the quantiles of t* come from their Edgeworth expansion, to which drawing converges. Where
    most users share one value and fewer than 30 have another (two models with nearly the same lists), resampling those
    few does not represent users outside the sample: then the interval is that of `share_interval`, over a range around the
    shared value that extends by the largest observed deviation on both sides. It is (nan, nan) in the cases of
    `bootstrap_interval`.

    Source: efron1993, section 12.5; hall1992 (the expansion).

    Raises:
        ShapeError: a level outside (0, 1), or no draws.
    """
    _check(level, draws)
    if not _enough(values):
        return _NONE
    distinct, counts = np.unique(values, return_counts=True)
    common = float(distinct[counts.argmax()])
    reach = float(np.abs(values - common).max())
    if reach <= 1e-12 * max(1.0, abs(common)):
        return _NONE
    if 2 * counts.max() <= len(values) or len(values) - counts.max() >= _FEW:
        found = _expanded(values, level) if len(values) > _MOST_DRAWN else _studentized(values, level, draws, seed)
        if np.isfinite(found).all():
            return found
    return _weighted(values, common - reach, common + reach, level, draws, seed)


def _check(level: float, draws: int) -> None:
    if not 0.0 < level < 1.0 or draws < 1:
        raise ShapeError(f"an interval needs a level in (0, 1) and at least one draw, not {level:g} and {draws}")


def _enough(values: Float64[Array, " users"]) -> bool:
    return len(values) >= LEAST_USERS and bool(np.isfinite(values).all())


def _weighted(
    values: Float64[Array, " users"], least: float, most: float, level: float, draws: int, seed: int
) -> Interval:
    """Quantiles of the mean under Dirichlet weights, with an additional observation at `least` (lower end) or `most` (upper)."""
    distinct, counts = np.unique(values, return_counts=True)
    if len(distinct) > _MOST_DRAWN:
        return _expanded(values, level)
    rng = np.random.default_rng(seed)
    sums, totals = np.empty(draws), np.empty(draws)
    step = max(1, (1 << 22) // len(distinct))
    for start in range(0, draws, step):
        # Users with equal values share one weight: a sum of exponentials.
        weights = rng.standard_gamma(counts.astype(np.float64), size=(min(step, draws - start), len(distinct)))
        sums[start : start + step], totals[start : start + step] = weights @ distinct, weights.sum(axis=1)
    unseen = rng.standard_exponential(draws)
    low = np.quantile((sums + least * unseen) / (totals + unseen), (1.0 - level) / 2.0)
    high = np.quantile((sums + most * unseen) / (totals + unseen), (1.0 + level) / 2.0)
    return float(low), float(high)


def _studentized(values: Float64[Array, " users"], level: float, draws: int, seed: int) -> Interval:
    n, mean, sd = len(values), float(values.mean()), float(values.std(ddof=1))
    centered, rng = values - mean, np.random.default_rng(seed)
    t = np.empty(draws)
    step = max(1, (1 << 20) // n)
    for start in range(0, draws, step):
        drawn = centered[rng.integers(0, n, size=(min(step, draws - start), n), dtype=np.int32)]
        means = drawn.mean(axis=1)
        spread = np.sqrt(np.maximum(np.einsum("ij,ij->i", drawn, drawn) - n * means**2, 0.0) / (n - 1))
        # A resample without spread has t* = ±∞, with the sign of its deviation from the mean.
        far = np.where(np.abs(means) <= 1e-9 * sd, 0.0, np.copysign(np.inf, means))
        t[start : start + step] = np.where(spread > 1e-6 * sd, means / np.maximum(spread, 1e-6 * sd), far)
    low, high = np.quantile(t, ((1.0 - level) / 2.0, (1.0 + level) / 2.0), method="inverted_cdf")
    return mean - sd * float(high), mean - sd * float(low)


def _expanded(values: Float64[Array, " users"], level: float) -> Interval:
    """The interval to which the studentized bootstrap converges: mean + s γ (2z² + 1) / (6n) ± z s / √n, with the skewness γ."""
    from scipy.special import ndtri

    n, mean = len(values), float(values.mean())
    centered = values - mean
    sd = float(np.sqrt((centered**2).sum() / (n - 1)))
    skewness = float((centered**3).mean()) / sd**3 if sd > 0.0 else 0.0
    z = float(ndtri((1.0 + level) / 2.0))
    middle = mean + sd * skewness * (2.0 * z * z + 1.0) / (6.0 * n)
    half = z * sd / float(np.sqrt(n))
    return middle - half, middle + half
