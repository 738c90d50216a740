"""Where a falling function of one positive number is zero: what is left of every estimate that has no closed form."""

import math
from collections.abc import Callable

from scipy.optimize import brentq

__all__ = ["crossing"]

_FARTHEST = 700.0  # of log x: e⁷⁰⁰ is near the largest float


def crossing(score: Callable[[float], float], start: float) -> float | None:
    """x > 0 at which the score falls through 0, by bracketing on log x; None when floats hold no such x.

    Args:
        score: of x: positive below the zero, negative above.
        start: a first guess.
    """

    def at(u: float) -> float:
        return float(score(math.exp(u)))

    near = min(max(math.log(start), -_FARTHEST), _FARTHEST)
    value, step = at(near), 0.5
    if value == 0.0:
        return math.exp(near)
    way = math.copysign(1.0, value)
    while True:
        far = min(max(near + way * step, -_FARTHEST), _FARTHEST)
        if at(far) * way <= 0.0:
            return math.exp(brentq(at, near, far, xtol=1e-16, rtol=1e-15))
        if abs(far) == _FARTHEST:
            return None
        near, step = far, 2.0 * step
