"""The zero of a decreasing function of one positive number, to which every estimate without a closed form is reduced."""

import math
from collections.abc import Callable

from scipy.optimize import brentq

__all__ = ["crossing"]

_FARTHEST = 700.0  # largest |log x|: e⁷⁰⁰ is close to the largest float


def crossing(score: Callable[[float], float], start: float) -> float | None:
    """The x > 0 at which a decreasing score crosses 0, by bracketing log x; None if no float is such an x.

    Args:
        score: function of x, positive below the zero and negative above.
        start: first guess of x.
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
