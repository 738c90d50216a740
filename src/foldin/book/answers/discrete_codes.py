"""The right values of the exercises on discrete codes."""

import math
from collections.abc import Sequence

from foldin.book.exercise import Exercise

__all__ = ["EXERCISES"]


def perplexity(shares: Sequence[float] = (0.5, 0.25, 0.125, 0.125)) -> float:
    """exp(H) of the shares of the codes that are used; codes that are not used add nothing to H."""
    return math.exp(-sum(share * math.log(share) for share in shares))


def residual_after_three_levels(
    z: float = 0.3, levels: Sequence[Sequence[float]] = ((-1.0, 1.0), (-0.5, 0.5), (-0.25, 0.25))
) -> float:
    """What is left of z when the nearest number of each level has been subtracted, one level after the other."""
    for level in levels:
        _, nearest = min((abs(z - number), number) for number in level)
        z -= nearest
    return z


def bits_of_rounding(levels: Sequence[int] = (8, 8, 8, 6, 5)) -> float:
    """Bits that name one of Π K_j combinations of rounded coordinates."""
    return sum(math.log2(size) for size in levels)


EXERCISES = {
    1: Exercise(
        perplexity,
        0.01,
        "codes",
        "the entropy is 1.75 log 2 nats; its exponential is a number of codes",
    ),
    2: Exercise(
        residual_after_three_levels,
        0.001,
        "",
        "subtract the nearest number of the first level, then continue with what is left, with its sign",
    ),
    3: Exercise(
        bits_of_rounding,
        0.01,
        "bits",
        "how many combinations are there? The binary logarithm of that number",
    ),
}
