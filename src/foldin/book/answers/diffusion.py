"""The right values of the exercises on diffusion."""

import math

from foldin.book.exercise import Exercise

__all__ = ["EXERCISES"]


def nats_of_a_step(before: float = 0.5, beta: float = 0.2, squared_error: float = 3.0) -> float:
    """KL of a step with ᾱ_t−1, β_t and ‖x_0 − x̂_0‖², in nats: the squared distance of the two means over 2 β̃_t."""
    now = before * (1.0 - beta)
    variance = beta * (1.0 - before) / (1.0 - now)
    factor = math.sqrt(before) * beta / (1.0 - now)
    return factor**2 * squared_error / (2.0 * variance)


def clean_of_a_gaussian(variance: float = 4.0, alpha_bar: float = 0.36, x_t: float = 1.0) -> float:
    """E[x_0 | x_t] of data from N(0, σ²), by the regression of x_0 on x_t."""
    return math.sqrt(alpha_bar) * variance / (alpha_bar * variance + 1.0 - alpha_bar) * x_t


EXERCISES = {
    1: Exercise(
        nats_of_a_step,
        0.005,
        "nats",
        "compute the signal-to-noise ratio before and after the step; there is a factor ½",
    ),
    2: Exercise(
        clean_of_a_gaussian,
        0.005,
        "",
        "q(x_t) is a Gaussian with variance ᾱ_t σ² + 1 − ᾱ_t; put the slope of its logarithm into Tweedie's formula",
    ),
}
