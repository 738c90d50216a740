"""Paired tests of two models on the same users, and the adjustment for many tests."""

from collections.abc import Sequence

import numpy as np

from foldin.errors import ShapeError
from foldin.tensors import Array, Float64

__all__ = ["holm", "paired_test"]

_EXACT = 20  # users whose signs are all tried
_MONTE_CARLO = 200  # users up to whom signs are drawn; above, the t test
_FLIPS = 9999


def paired_test(a: Float64[Array, "..."], b: Float64[Array, "..."], *, seed: int = 0) -> float:
    """p-value, two-sided, that two models are equally good on the same users, given in the same order.

    A sign-flip permutation test: were the models equal, each user's difference d_u could as well be −d_u, so

        p = P(|Σ_u s_u d_u| ≥ |Σ_u d_u|),   s_u = ±1 with probability ½ each.

    Users without a difference do not count. All signs are tried where at most 20 users differ, or where all differences
    are of one size (then it is the sign test); up to 200 users 9,999 signs are drawn, and p = (b + 1) / (9,999 + 1) of b that
    reach the sum, which is a valid p-value for any number of draws; of more users, p is that of the paired t test, whose
    error is then below what the draws would have. 1 if no user differs; nan if a difference is not finite.

    Source: fisher1935, section 21; phipson2010 (the + 1).

    Raises:
        ShapeError: the numbers of users differ.
    """
    from scipy.special import bdtrc, stdtr  # the import is not free, and `--help` need not wait for it

    if len(a) != len(b):
        raise ShapeError(f"a paired test needs the same users on both sides, not {len(a)} and {len(b)}")
    with np.errstate(invalid="ignore"):
        every = np.asarray(a - b, dtype=np.float64)
    if not np.isfinite(every).all():
        return float("nan")
    scale = np.abs(every).max(initial=0.0)
    if scale == 0.0:
        return 1.0
    every = every / scale
    differences = every[every != 0.0]
    n = len(differences)
    if np.ptp(np.abs(differences)) <= 1e-9:
        more = max(int((differences > 0.0).sum()), int((differences < 0.0).sum()))
        return min(1.0, 2.0 * float(bdtrc(more - 1, n, 0.5)))
    if n <= _EXACT:
        sums = np.zeros(1)
        for one in differences[1:]:  # the first sign may stay: turning all of them changes no |Σ|
            sums = np.concatenate((sums + one, sums - one))
        return float(_reached(sums + differences[0], differences).mean())
    if n <= _MONTE_CARLO:
        signs = np.random.default_rng(seed).integers(0, 2, size=(_FLIPS, n), dtype=np.int8)
        sums = (2.0 * signs - 1.0) @ differences
        return float(_reached(sums, differences).sum() + 1.0) / (_FLIPS + 1.0)
    t = every.mean() / (every.std(ddof=1) / np.sqrt(len(every)))
    return float(2.0 * stdtr(len(every) - 1, -abs(t)))


def _reached(sums: Float64[Array, " flips"], differences: Float64[Array, " users"]) -> Array:
    """Which sums are as far from 0 as the one observed; up to rounding, so that equal ones count."""
    return np.abs(sums) >= abs(differences.sum()) - 1e-9 * np.abs(differences).sum()


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for their number: the chance of any false finding stays below the level.

    Source: holm1979.
    """
    order = np.argsort(p_values, kind="stable")
    adjusted = np.empty(len(p_values))
    running = 0.0
    for place, index in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - place) * p_values[index]))
        adjusted[index] = running
    return [float(p) for p in adjusted]
