"""Whether the arms of an experiment received users in the planned shares: if not, its results say nothing about the arms.

A mismatch means that users were lost or assigned wrongly, in a way that may depend on the arm. It is to be tested first, and at
every look of an experiment that is watched.
"""

from collections.abc import Sequence

import numpy as np

from foldin.errors import ConfigError, ShapeError
from foldin.tensors import Array, Float64, Int64

__all__ = ["chi_square_ratio_test", "sequential_ratio_test"]


def sequential_ratio_test(
    counts: Int64[Array, "... arms"] | Sequence[int],
    planned: Float64[Array, " arms"] | Sequence[float],
    *,
    concentration: float = 100.0,
) -> Float64[Array, "..."]:
    """p-value, valid at any time, of the hypothesis that users were assigned to the arms with the planned shares.

        p = min(1, 1/B),   B = Γ(c) / Γ(c + n) · Π_k Γ(cθ_k + n_k) / Γ(cθ_k) / Π_k θ_k^{n_k}

    B is the Bayes factor against the planned shares θ of shares drawn from Dirichlet(cθ). If the plan holds, B cannot rise in
    expectation, so that it passes 1/α at any time with probability at most α: an alarm at p ≤ .01 may be checked after every user
    and is false in at most 1 % of experiments. Counts of several servers are simply added.

    Source: lindon2022.

    Args:
        counts: number of users in each arm; with more axes, at each look.
        planned: share of each arm, or any numbers in proportion to the shares.
        concentration: c; a larger one finds small mismatches of large samples sooner.

    Raises:
        ShapeError: counts that are not whole numbers of at least 0, or not as many as there are shares.
        ConfigError: fewer than two arms, a share that is not positive, or a `concentration` that is not.
    """
    from scipy.special import gammaln

    found, shares = _checked(counts, planned)
    if not (np.isfinite(concentration) and concentration > 0.0):
        raise ConfigError(f"concentration: a positive number was expected, not {concentration:g}")
    prior = concentration * shares
    of_arms = gammaln(prior + found) - gammaln(prior) - found * np.log(shares)
    total = found.sum(axis=-1)
    log_factor = of_arms.sum(axis=-1) + gammaln(concentration) - gammaln(concentration + total)
    return np.exp(np.minimum(0.0, -log_factor))


def chi_square_ratio_test(
    counts: Int64[Array, "... arms"] | Sequence[int], planned: Float64[Array, " arms"] | Sequence[float]
) -> Float64[Array, "..."]:
    """p-value of the same hypothesis by Pearson's test, which is valid for a single look at a number of users fixed beforehand.

        X² = Σ_k (n_k − nθ_k)² / (nθ_k),   compared with χ² of as many degrees of freedom as there are arms, less 1

    An experiment that is stopped at the first small p-value has more false alarms than its level; there use
    `sequential_ratio_test`.

    Source: pearson1900.

    Raises:
        ShapeError, ConfigError: as `sequential_ratio_test`, and counts of which all are 0.
    """
    from scipy.special import chdtrc

    found, shares = _checked(counts, planned)
    total = found.sum(axis=-1, keepdims=True)
    if (total == 0.0).any():
        raise ShapeError("Pearson's test needs at least one user")
    expected = total * shares
    return chdtrc(len(shares) - 1.0, (np.square(found - expected) / expected).sum(axis=-1))


def _checked(
    counts: Int64[Array, "... arms"] | Sequence[int], planned: Float64[Array, " arms"] | Sequence[float]
) -> tuple[Float64[Array, "... arms"], Float64[Array, " arms"]]:
    """(counts, shares that sum to 1)."""
    shares, found = np.asarray(planned, dtype=np.float64), np.asarray(counts)
    if shares.ndim != 1 or len(shares) < 2 or not (np.isfinite(shares).all() and (shares > 0.0).all()):
        raise ConfigError(f"planned: a positive share of each of at least two arms was expected, not {planned}")
    if found.ndim == 0 or found.shape[-1] != len(shares):
        raise ShapeError(f"counts: one for each of {len(shares)} arms was expected, not the shape {found.shape}")
    if not np.issubdtype(found.dtype, np.integer) or (found < 0).any():
        raise ShapeError("counts: whole numbers of at least 0 were expected")
    return found.astype(np.float64), shares / shares.sum()
