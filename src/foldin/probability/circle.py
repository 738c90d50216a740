"""Maximum-likelihood estimation for angles: the von Mises distribution.

Source: mardia2000, section 5.3.
"""

import math

import numpy as np
from torch.distributions import VonMises

from foldin.errors import FitError
from foldin.probability.bessel import cosine_sd, length, log_bessel, shortfall
from foldin.probability.fitted import Fitted, Weights, checked, fitted, number, refuse_equal
from foldin.probability.root import crossing
from foldin.tensors import Array

__all__ = ["fit_von_mises"]

_EPS = float(np.finfo(float).eps)
_TURNS = 1e-6  # largest half-deviation, in radians, that is attributed to the rounding of angles of many turns
_ROUNDING = 1e-14  # rounding error of a mean of cosines


def fit_von_mises(x: Array, weights: Weights = None) -> Fitted:
    """Maximum-likelihood estimate of a von Mises distribution, from angles in radians, which may exceed one turn.

    The location is the direction of the mean vector, in [−π, π]. The concentration κ solves I₁(κ)/I₀(κ) = R̄, the length of the
    mean vector. The Fisher information is I(μ) = κ R̄ and I(κ) = 1 − R̄² − R̄/κ.

    Raises:
        FitError: all angles are equal, possibly up to full turns (κ → ∞), or their mean vector is 0 (κ = 0).
    """
    x, p, total = checked(x, weights, name="Von Mises")
    edge = "the concentration goes to ∞"
    refuse_equal(x, "Von Mises", edge)
    origin = float(x[p.argmax()])
    with np.errstate(over="ignore"):
        gaps = x - origin
    # Differences of nearby angles are exact; larger ones are first reduced to one turn.
    turned = np.abs(gaps) > math.pi
    sin, cos = np.sin(x), np.cos(x)
    around = np.arctan2(
        sin * math.cos(origin) - cos * math.sin(origin), cos * math.cos(origin) + sin * math.sin(origin)
    )
    d = np.where(turned, around, gaps)
    c, s = float(p @ np.cos(d)), float(p @ np.sin(d))
    if math.hypot(c, s) < _ROUNDING:
        raise FitError(
            "Von Mises: the mean vector is 0: every direction is as likely, the concentration at the maximum is 0, and the "
            "distribution is uniform on the circle"
        )
    middle = math.atan2(s, c)
    halves = np.sin(0.5 * (d - middle))
    largest = float(np.abs(halves).max())
    if largest == 0.0 or (turned.any() and largest < min(_EPS * float(np.abs(x).max()), _TURNS)):
        raise FitError(
            f"Von Mises: all values are equal on the circle: the likelihood has no maximum, it grows as {edge}"
        )
    short = 2.0 * float(p @ (halves / largest) ** 2) * largest * largest  # 1 − R̄
    kappa = _concentration(math.hypot(c, s), short)
    if kappa is None:
        raise FitError(
            "Von Mises: the angles differ by so little that their concentration is beyond what a float holds"
        )
    at = number(kappa)
    errors = {
        "loc": 1.0 / math.sqrt(total * kappa * float(length(at))),
        "concentration": 1.0 / (math.sqrt(total) * cosine_sd(kappa)),
    }
    value = -total * (kappa * short + float(log_bessel(at)) + math.log(2.0 * math.pi))
    loc = origin + middle
    if abs(loc) > math.pi:
        loc = math.atan2(math.sin(loc), math.cos(loc))
    return fitted("Von Mises", VonMises, {"loc": loc, "concentration": kappa}, errors, value)


def _concentration(mean: float, short: float) -> float | None:
    """κ that solves A(κ) = R̄, from R̄ or from 1 − R̄, whichever is more precise; None if no float is the solution."""
    if mean < 0.5:
        return crossing(lambda k: mean - float(length(number(k))), 2.0 * mean)
    if short < 1e-300:
        return None
    return crossing(lambda k: float(shortfall(number(k))) - short, 0.5 / short)
