"""A numerical exercise: its right value is computed, never kept."""

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Exercise"]


@dataclass(frozen=True)
class Exercise:
    """A numerical exercise.

    Args:
        value: computes the right value.
        allowed: largest difference that counts as right.
        unit: of the value, such as "nats"; "" for a number without a unit.
        hint: what to look at if the answer is wrong.
    """

    value: Callable[[], float]
    allowed: float
    unit: str
    hint: str
