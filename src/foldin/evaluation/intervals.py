"""Confidence intervals of means over users: exact for few users or rare hits, fast for many users.

A percentile bootstrap repeats what the sample has not seen: of 79 users with 3 % hits one sample in eleven has no hit at all,
and its interval is [0, 0]. Two ways out, by what is known of the values:

    shares (ranking metrics lie in [0, 1])   weights of all observations and of an additional one, at the end of the range
    anything else                            the studentized bootstrap
"""

import numpy as np

from foldin.errors import ShapeError
from foldin.tensors import Array, Float64

__all__ = ["LEAST_USERS", "bootstrap_interval", "share_interval", "studentized_interval"]

LEAST_USERS = 10  # below which there is no interval
_MOST_DRAWN = (
    3_000  # distinct values to draw weights for, and values to resample; of more, the expansion that both converge to
)
_FEW = 30  # users who differ from the most common value, below which resampling them says nothing of the others
_NONE = (float("nan"), float("nan"))
Interval = tuple[float, float]


def bootstrap_interval(
    values: Float64[Array, " users"], *, level: float = 0.95, draws: int = 1000, seed: int = 0
) -> Interval:
    """Interval of the mean over users: `share_interval` of values that all lie in [0, 1], else `studentized_interval`.

    (nan, nan) where there is none: fewer than `LEAST_USERS` users, a value that is not finite, or no spread at all in
    values of unknown range.

    Raises:
        ShapeError: a level outside (0, 1), or no draws.
    """
    shares = len(values) > 0 and float(np.min(values)) >= 0.0 and float(np.max(values)) <= 1.0
    method = share_interval if shares else studentized_interval
    return method(values, level=level, draws=draws, seed=seed)


def share_interval(
    values: Float64[Array, " users"], *, level: float = 0.95, draws: int = 1000, seed: int = 0
) -> Interval:
    """Interval of the mean of values in [0, 1], which keeps its level however rare the hits are.

    The upper end is the quantile of Σ_i w_i x_i + w_0 · 1 over w ~ Dirichlet(1, …, 1), the lower end that of
    Σ_i w_i x_i + w_0 · 0: a Bayesian bootstrap with one more observation, as bad as the range allows. Of zeros and ones
    it is the exact interval of Clopper and Pearson; that it covers at least as often as it says is proved for those, and
    conjectured for all shares, with no counterexample known. (nan, nan) as in `bootstrap_interval`.

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
    """Interval of the mean by the studentized bootstrap, which follows the skewness of the values.

        [x̄ − s t*_{(1+level)/2} / √n,   x̄ − s t*_{(1−level)/2} / √n],   t* = √n (x̄* − x̄) / s*

    Of more than 3,000 values the quantiles of t* come from their Edgeworth expansion, which drawing converges to. Where
    most users share one value and fewer than 30 have another (two models with nearly the same lists), resampling those
    few does not represent users outside the sample: then the interval is that of `share_interval`, over the range
    of the largest deviation met, on both sides. (nan, nan) as in `bootstrap_interval`.

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
    """Quantiles of the mean under Dirichlet weights, with one observation more at `least`, or at `most`."""
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
        # A draw without spread is infinitely far from the mean, on its side.
        far = np.where(np.abs(means) <= 1e-9 * sd, 0.0, np.copysign(np.inf, means))
        t[start : start + step] = np.where(spread > 1e-6 * sd, means / np.maximum(spread, 1e-6 * sd), far)
    low, high = np.quantile(t, ((1.0 - level) / 2.0, (1.0 + level) / 2.0), method="inverted_cdf")
    return mean - sd * float(high), mean - sd * float(low)


def _expanded(values: Float64[Array, " users"], level: float) -> Interval:
    """mean + s γ (2z² + 1) / (6n) ± z s / √n, with the skewness γ: what the studentized bootstrap converges to."""
    from scipy.special import ndtri

    n, mean = len(values), float(values.mean())
    centered = values - mean
    sd = float(np.sqrt((centered**2).sum() / (n - 1)))
    skewness = float((centered**3).mean()) / sd**3 if sd > 0.0 else 0.0
    z = float(ndtri((1.0 + level) / 2.0))
    middle = mean + sd * skewness * (2.0 * z * z + 1.0) / (6.0 * n)
    half = z * sd / float(np.sqrt(n))
    return middle - half, middle + half
