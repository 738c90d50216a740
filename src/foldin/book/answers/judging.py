"""The right values of the exercises on judging models."""

import math

from foldin.book.exercise import Exercise

__all__ = ["EXERCISES"]


def users_to_see_a_difference(
    errors: float = 2.0, sd: float = 0.165, rho: float = 0.8, difference: float = 0.01
) -> float:
    """Number of users for which a true difference is a number of standard errors: 2 b² σ² (1 − ρ) / μ_d²."""
    return 2.0 * errors**2 * sd**2 * (1.0 - rho) / difference**2


def chance_of_no_hit(rate: float = 0.01, users: int = 200) -> float:
    """Probability that a sample of users has no hit: (1 − μ)^N."""
    return (1.0 - rate) ** users


def sign_test(more: int = 9, users: int = 10) -> float:
    """Two-sided p-value of the sign test, where `more` of the users, over one half, have the same sign."""
    reached = sum(math.comb(users, count) for count in range(more, users + 1))
    return min(1.0, 2.0 * reached / 2**users)


def inflation(candidates: int = 200, error: float = 0.002) -> float:
    """Bound on the expected excess of the best of equally good candidates: SE √(2 log C)."""
    return error * math.sqrt(2.0 * math.log(candidates))


EXERCISES = {
    1: Exercise(
        users_to_see_a_difference,
        1.0,
        "users",
        "the variance of a paired difference is 2σ²(1 − ρ); its mean over N users has a variance N times smaller",
    ),
    2: Exercise(chance_of_no_hit, 0.002, "", "the interval is [0, 0] if all users are without a hit"),
    3: Exercise(sign_test, 0.0005, "", "how many of the 2¹⁰ patterns of signs are at least as uneven, on either side?"),
    4: Exercise(
        inflation, 0.0001, "", "the bound is the standard error times the root of 2 log C, in natural logarithms"
    ),
}
