"""Checks of numerical arguments, made before an algorithm starts."""

import math
from numbers import Integral

from foldin.errors import ConfigError

__all__ = ["check_count", "check_number"]


def check_count(name: str, value: float, least: int) -> None:
    """Check that a value is a whole number of at least `least`.

    Raises:
        ConfigError: it is not; the message names the argument.
    """
    if not (isinstance(value, Integral) and value >= least):
        raise ConfigError(f"{name} = {value}: must be a whole number of at least {least}")


def check_number(
    name: str, value: float, *, above: float = -math.inf, least: float = -math.inf, most: float = math.inf
) -> None:
    """Check that a value is finite, above `above`, at least `least`, and at most `most`.

    Raises:
        ConfigError: it is not; the message names the argument.
    """
    if not (math.isfinite(value) and value > above and least <= value <= most):
        bounds = [
            f"{word} {bound:g}"
            for word, bound in (("above", above), ("at least", least), ("at most", most))
            if math.isfinite(bound)
        ]
        raise ConfigError(f"{name} = {value}: must be a finite number {' and '.join(bounds)}".rstrip())
