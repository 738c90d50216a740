"""The right values of the exercises on auto-encoding variational Bayes."""

import functools
import math
from collections.abc import Sequence

from foldin.book.exercise import Exercise

__all__ = ["EXERCISES"]


def kl_from_standard_normal(means: Sequence[float], deviations: Sequence[float]) -> float:
    """KL(N(μ, diag σ²) ‖ N(0, I)), in nats."""
    return 0.5 * sum(m**2 + s**2 - 1.0 - math.log(s**2) for m, s in zip(means, deviations, strict=True))


def log_of_mean_weight(log_weights: Sequence[float]) -> float:
    """The logarithm of the mean of importance weights, in nats: an estimate of L_S."""
    return math.log(sum(math.exp(one) for one in log_weights) / len(log_weights))


EXERCISES = {
    1: Exercise(
        functools.partial(kl_from_standard_normal, (2.0, 0.0, -0.5), (0.1, 1.0, 0.5)),
        0.005,
        "nats",
        "add ½ (μ² + σ² − 1 − log σ²) of the three dimensions; σ is given, and the formula has σ²",
    ),
    2: Exercise(
        functools.partial(log_of_mean_weight, (-10.0, -12.0, -11.0)),
        0.005,
        "nats",
        "take the mean of the weights before the logarithm; factor out the largest weight, e⁻¹⁰",
    ),
}
