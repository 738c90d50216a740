"""The right values of the exercises on latent variables and EM."""

import itertools
import math

from foldin.book.exercise import Exercise

__all__ = ["EXERCISES"]


def responsibility_of_the_second(x: float = 1.5, weight: float = 0.25, mean: float = 2.0) -> float:
    """p(c = 2 | x) of a mixture of N(0, 1) and N(mean, 1), where the second has the given weight."""
    first = (1.0 - weight) * math.exp(-0.5 * x**2)
    second = weight * math.exp(-0.5 * (x - mean) ** 2)
    return second / (first + second)


def variance_after_one_step() -> float:
    """The variance that the M-step gives a component with these points and responsibilities."""
    x, r = (0.0, 1.0, 5.0), (1.0, 0.8, 0.2)
    mean = sum(weight * point for weight, point in zip(r, x, strict=True)) / sum(r)
    return sum(weight * (point - mean) ** 2 for weight, point in zip(r, x, strict=True)) / sum(r)


def iterations_with_missing_values(missing: int = 4, points: int = 10, left: float = 1e-3) -> int:
    """Iterations until the distance to the maximum is less than the given share of the first distance."""
    return next(steps for steps in itertools.count() if (missing / points) ** steps < left)


EXERCISES = {
    1: Exercise(
        responsibility_of_the_second,
        0.005,
        "",
        "Bayes' rule: the weight of a component times its density at x, over the sum of both; 1/√(2π) cancels",
    ),
    2: Exercise(
        variance_after_one_step,
        0.01,
        "",
        "first the weighted mean, then the weighted mean of the squares of the distances to it; divide by Σ r, not by 3",
    ),
    3: Exercise(
        iterations_with_missing_values,
        0.4,
        "iterations",
        "each iteration leaves the share of the missing information of the distance; here it is the share of missing values",
    ),
}
