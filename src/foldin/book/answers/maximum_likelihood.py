"""The right values of the exercises on distributions and maximum likelihood."""

import math

from foldin.book.exercise import Exercise

__all__ = ["EXERCISES"]


def standard_error_of_a_rate(rate: float = 9.0, days: int = 25) -> float:
    """1/√(N 𝓘(θ)) of a Poisson distribution, whose Fisher information is 1/θ, in events per day."""
    return math.sqrt(rate / days)


def nats_below_the_maximum(clicks: int = 3, shows: int = 20, theta: float = 0.5) -> float:
    """KL of the shares of clicks and other shows from a Bernoulli distribution, in nats."""
    share = clicks / shows
    return share * math.log(share / theta) + (1.0 - share) * math.log((1.0 - share) / (1.0 - theta))


def shows_until_the_mean(mean: float = 0.02, a: float = 2.0, b: float = 38.0) -> float:
    """The number N of shows without a click after which the posterior mean a/(a + b + N) has a given value."""
    return a / mean - a - b


EXERCISES = {
    1: Exercise(
        standard_error_of_a_rate,
        0.005,
        "events per day",
        "the Fisher information of a Poisson distribution is 1/θ; put the estimate in place of θ",
    ),
    2: Exercise(
        nats_below_the_maximum,
        0.005,
        "nats",
        "the entropy of the data is the same for every θ; what remains is a difference of two KL, of which one is zero",
    ),
    3: Exercise(
        shows_until_the_mean,
        0.5,
        "shows",
        "without a click the share of clicks is 0: solve a/(a + b + N) = 0.02 for N",
    ),
}
