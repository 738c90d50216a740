"""The right values of the exercises on the decomposition of the KL term."""

import functools
import math

from foldin.book.exercise import Exercise

__all__ = ["EXERCISES"]


def information_of_far_clusters(users: int) -> float:
    """I(n; z) of users whose posteriors do not overlap: log N nats, since z says who it was."""
    return math.log(users)


def total_correlation_of_two_gaussians(rho: float = 0.8) -> float:
    """KL of a Gaussian with unit variances and correlation ρ from the product of its marginals: −½ log(1 − ρ²) nats."""
    return -0.5 * math.log(1.0 - rho**2)


def kl_that_a_better_prior_saves(mean: float = 1.0, variance: float = 0.25) -> float:
    """KL(q(z) ‖ N(0, 1)) of an aggregate N(μ, σ²), which is what the prior q(z) itself would save, in nats."""
    return 0.5 * (variance + mean**2 - 1.0 - math.log(variance))


EXERCISES = {
    1: Exercise(
        functools.partial(information_of_far_clusters, 2),
        0.01,
        "nats",
        "how many nats does it take to say which of N equally likely users it was?",
    ),
    2: Exercise(
        total_correlation_of_two_gaussians,
        0.005,
        "nats",
        "the entropy of a Gaussian is ½ log |2πe Σ|; compare the joint one with the sum of the marginal ones",
    ),
    3: Exercise(
        kl_that_a_better_prior_saves,
        0.005,
        "nats",
        "which of the three terms depend on p(z)? Match the moments of the aggregate",
    ),
}
