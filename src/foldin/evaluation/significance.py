"""Paired tests of two models on the same users, and the adjustment for many tests."""

from collections.abc import Sequence

import numpy as np

from foldin.errors import ShapeError
from foldin.tensors import Array, Float64

__all__ = ["holm", "paired_test"]

_EXACT = 20  # most differing users for which all signs are tried
_MONTE_CARLO = 200  # most differing users for which signs are drawn; for more, the t test is used
_FLIPS = 9999


def paired_test(a: Float64[Array, "..."], b: Float64[Array, "..."], *, seed: int = 0) -> float:
    """Two-sided p-value of the hypothesis that two models are equally good, from the same users in the same order.

    A sign-flip permutation test: if the models were equal, each user's difference d_u could as well be −d_u, so

        p = P(|Σ_u s_u d_u| ≥ |Σ_u d_u|),   s_u = ±1 with probability ½ each.

    Users without a difference have no effect on this test. All signs are tried if at most 20 users differ, or if all
    differences are of one size (then it is the sign test). If up to 200 users differ, 9,999 sets of signs are drawn, and
    p = (b + 1) / (9,999 + 1), with b the number of sets that reach the sum, which is a valid p-value for any number of draws.
    If more differ, p is that of the paired t test, whose error is then below that of the draws. The result is 1 if no user
    differs, and nan if a difference is not finite.

    Source: fisher1935, section 21; phipson2010 (the + 1).

    Raises:
        ShapeError: the numbers of users differ.
    """
    from scipy.special import bdtrc, stdtr  # imported here, since it is slow and `--help` does not need it

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
        for one in differences[1:]:  # the first sign is fixed, since flipping all signs keeps |Σ|
            sums = np.concatenate((sums + one, sums - one))
        return float(_reached(sums + differences[0], differences).mean())
    if n <= _MONTE_CARLO:
        signs = np.random.default_rng(seed).integers(0, 2, size=(_FLIPS, n), dtype=np.int8)
        sums = (2.0 * signs - 1.0) @ differences
        return float(_reached(sums, differences).sum() + 1.0) / (_FLIPS + 1.0)
    t = every.mean() / (every.std(ddof=1) / np.sqrt(len(every)))
    return float(2.0 * stdtr(len(every) - 1, -abs(t)))


def _reached(sums: Float64[Array, " flips"], differences: Float64[Array, " users"]) -> Array:
    """Whether each sum is at least as far from 0 as the observed one, up to rounding, so that equal sums count."""
    return np.abs(sums) >= abs(differences.sum()) - 1e-9 * np.abs(differences).sum()


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for their number, so that the probability of any false rejection stays below the level.

    Source: holm1979.
    """
    order = np.argsort(p_values, kind="stable")
    adjusted = np.empty(len(p_values))
    running = 0.0
    for place, index in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - place) * p_values[index]))
        adjusted[index] = running
    return [float(p) for p in adjusted]
