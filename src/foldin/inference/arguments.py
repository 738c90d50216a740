"""Checks of the numbers that are passed to an algorithm, before it does any work."""

import math
from numbers import Integral

from foldin.errors import ConfigError

__all__ = ["check_count", "check_number"]


def check_count(name: str, value: float, least: int) -> None:
    """Raises: ConfigError: a value that is not a whole number of at least `least`; names it."""
    if not (isinstance(value, Integral) and value >= least):
        raise ConfigError(f"{name} = {value}: must be a whole number of at least {least}")


def check_number(
    name: str, value: float, *, above: float = -math.inf, least: float = -math.inf, most: float = math.inf
) -> None:
    """Raises: ConfigError: a value that is not finite, not above `above`, below `least`, or more than `most`; names it."""
    if not (math.isfinite(value) and value > above and least <= value <= most):
        bounds = [
            f"{word} {bound:g}"
            for word, bound in (("above", above), ("at least", least), ("at most", most))
            if math.isfinite(bound)
        ]
        raise ConfigError(f"{name} = {value}: must be a finite number {' and '.join(bounds)}".rstrip())
