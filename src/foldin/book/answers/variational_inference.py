"""The right values of the exercises on variational inference."""

import math

from foldin.book.exercise import Exercise

__all__ = ["EXERCISES"]


def gap_of_mean_field(rho: float = 0.8) -> float:
    """KL in nats of the best mean-field q from a Gaussian in two dimensions with correlation ρ: −½ log(1 − ρ²)."""
    return -0.5 * math.log(1.0 - rho**2)


def draws_of_score_for_one_of_slope(mu: float = 2.0) -> float:
    """Variance of z² (z − μ) over that of 2z under N(μ, 1)."""
    return (mu**4 + 14.0 * mu**2 + 15.0) / 4.0


def tail_index_of_mean_field(rho: float = 0.8) -> float:
    """Tail index ξ of the weights p/q of the best mean-field q for a Gaussian in two dimensions: |ρ|."""
    return abs(rho)


EXERCISES = {
    1: Exercise(
        gap_of_mean_field,
        0.005,
        "nats",
        "the gap is KL(q ‖ p(z | x)) with variances 1/Λ_jj in q; the quadratic forms cancel, and the determinants are left",
    ),
    2: Exercise(
        draws_of_score_for_one_of_slope,
        0.01,
        "",
        "the variance of a mean is that of one draw over the number of draws; insert μ = 2 in both variances",
    ),
    4: Exercise(
        tail_index_of_mean_field,
        0.005,
        "",
        "write log w as a difference of two squares of independent normals; how probable is a square above 2 log a / ρ?",
    ),
}
