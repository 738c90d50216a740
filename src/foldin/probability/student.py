"""Maximum-likelihood estimation for Student's t distribution.

In terms of η = 1/ν the normal distribution is at η = 0, where the likelihood is smooth. For each η, EM gives the location and the
scale. The slope of the likelihood in η along them is searched for the points at which it falls through 0, and each of these is
refined by Newton steps in all three parameters.

The likelihood has no global maximum: with k equal values among n it grows without bound as the scale goes to 0, for all
ν < k/(n − k). The estimate is the highest local maximum with ν above that.

Source: liu1995, section 2 (EM); kent1994, section 4 (its faster scale); fernandez1999 (equal values).
"""

import math
from typing import NamedTuple

import numpy as np
from torch.distributions import StudentT

from foldin.errors import FitError
from foldin.probability.fitted import Fitted, Weights, checked, fitted, refuse_equal, scaled
from foldin.probability.special import excess, half_step
from foldin.tensors import Array, Float64

__all__ = ["fit_student_t"]

# Degrees of freedom at which the slope is evaluated, from almost normal tails to heavy ones.
_GRID = (1e9, 1e7, 1e6, 1e5, 1e4, 1e3, 200.0, 60.0, 30.0, 16.0, 10.0, 6.0, 4.0, 2.8, 2.0, 1.4)
_HEAVY = (1.0, 0.7, 0.45, 0.3, 0.2, 0.1, 0.05, 0.02)
_SETTLED = 1e-8  # relative change at which EM stops: enough for the sign of the slope, before Newton steps
_GONE = 1e-145  # scale, relative to the spread of all values, below which squares underflow
_HALF_LOG_2_PI = 0.5 * math.log(2.0 * math.pi)


class _Point(NamedTuple):
    """Location and scale at one η, with the slope in η and the value of the mean log-likelihood, in nats."""

    eta: float
    loc: float
    scale: float
    slope: float
    value: float


def _derivatives(
    x: Float64[Array, " n"], p: Float64[Array, " n"], eta: float, loc: float, scale: float
) -> tuple[float, Float64[Array, " 3"], Float64[Array, "3 3"]]:
    """(mean log-likelihood in nats, its gradient, its Hessian) with respect to (location ÷ scale, log scale, η)."""
    z = (x - loc) / scale
    z2 = z * z
    y = eta * z2
    u = 1.0 + y
    # log(1 + y) − y/(1 + y), without cancellation where y is small.
    fall = np.where(y < 1.0, excess(np.where(y < 1.0, -y / u, 0.0)), np.log1p(y) - y / u)
    c, c1, c2 = half_step(eta)
    value = c - _HALF_LOG_2_PI - math.log(scale) - 0.5 * (1.0 + eta) / eta * float(p @ np.log1p(y))
    mix = z2 / u * ((1.0 - z2) / u)
    gradient = np.array([
        (1.0 + eta) * (p @ (z / u)),
        (1.0 + eta) * (p @ (z2 / u)) - 1.0,
        c1 + 0.5 * (p @ (fall / eta**2 - z2 / u)),
    ])  # fmt: skip
    of_eta = c2 + 0.5 * (p @ ((z2 / u) ** 2 + ((y / u) ** 2 - 2.0 * fall) / eta**3))
    of_loc, both = (1.0 + eta) * (p @ ((1.0 - y) / u / u)), 2.0 * (1.0 + eta) * (p @ (z / u / u))
    loc_eta = p @ (z / u * ((1.0 - z2) / u))
    hessian = np.array([
        [-of_loc, -both, loc_eta],
        [-both, -2.0 * (1.0 + eta) * (p @ (z2 / u / u)), p @ mix],
        [loc_eta, p @ mix, of_eta],
    ])  # fmt: skip
    return value, gradient, hessian


def _at(x: Array, p: Array, eta: float, loc: float, scale: float) -> _Point | None:
    """Location and scale at a given η, by EM from the given start; None if the scale goes to 0."""
    for _ in range(3000):
        z2 = ((x - loc) / scale) ** 2
        pull = p * (1.0 + eta) / (1.0 + eta * z2)
        mass = float(pull.sum())
        new = float(pull @ x) / mass
        # Dividing by the sum of the weights `pull` instead of 1 gives the same fixed point in fewer steps.
        wide = math.sqrt(float(pull @ (x - new) ** 2) / mass)
        if wide < _GONE:
            return None
        done = abs(new - loc) <= _SETTLED * wide and abs(wide - scale) <= _SETTLED * wide
        loc, scale = new, wide
        if done:
            break
    value, gradient, _ = _derivatives(x, p, eta, loc, scale)
    return _Point(eta, loc, scale, float(gradient[2]), value)


def _between(x: Array, p: Array, low: _Point, high: _Point) -> _Point:
    """The point between two η at which the slope falls through 0: bisection of log η, then Newton steps in all parameters."""
    for _ in range(40):
        if high.eta < 1.02 * low.eta:
            break
        middle = _at(x, p, math.sqrt(low.eta * high.eta), low.loc, low.scale)
        if middle is None:
            break
        low, high = (middle, high) if middle.slope > 0.0 else (low, middle)
    eta, loc, scale = low.eta, low.loc, low.scale
    value, gradient, hessian = _derivatives(x, p, eta, loc, scale)
    for _ in range(50):
        step = np.linalg.solve(hessian, -gradient)
        step *= min(1.0, 0.5 / max(abs(step[0]), abs(step[1]), abs(step[2]) / eta))
        new = eta + step[2], loc + scale * step[0], scale * math.exp(step[1])
        eta, loc, scale = new
        value, gradient, hessian = _derivatives(x, p, eta, loc, scale)
        if max(abs(step[0]), abs(step[1]), abs(step[2]) / eta) < 1e-13 or abs(gradient @ step) < 1e-30:
            break
    return _Point(eta, loc, scale, float(gradient[2]), value)


def _local_maxima(x: Array, p: Array, tie: float, normal: _Point) -> tuple[list[_Point], bool]:
    """(local maxima of the likelihood, whether its slope in η is still positive at the smallest degrees of freedom)."""
    least = tie / (1.0 - tie)
    grid = [nu for nu in _GRID + _HEAVY if nu > 1.2 * least]
    if len(grid) < len(_GRID + _HEAVY):
        grid.append(1.1 * least)
    found, last = [], normal
    for nu in grid:
        point = _at(x, p, 1.0 / nu, last.loc, last.scale)
        if point is None:
            break
        if last.slope > 0.0 >= point.slope:
            low = last
            if low.eta == 0.0:  # bisection of log η needs a start above 0, next to the normal distribution
                low = _at(x, p, 1e-14, last.loc, last.scale) or last
            found.append(_between(x, p, low, point))
        last = point
    return found, last.slope > 0.0


def fit_student_t(x: Array, weights: Weights = None) -> Fitted:
    """Maximum-likelihood estimate of Student's t: location, scale and degrees of freedom ν.

    Standard errors are from the observed information.

    Raises:
        FitError: all values are equal, their tails are no heavier than those of a normal distribution (ν → ∞), or so many of
            them are equal that the likelihood has no local maximum and the scale → 0.
    """
    x, p, total = checked(x, weights, name="Student t")
    refuse_equal(x, "Student t", "the scale goes to 0")
    own = scaled(x)
    d = own.d
    mean = float(p @ d)
    sd = math.sqrt(p @ (d - mean) ** 2)
    kurtosis = float(p @ ((d - mean) / sd) ** 4)
    normal = _Point(0.0, mean, sd, 0.25 * (kurtosis - 3.0), -math.log(sd) - _HALF_LOG_2_PI - 0.5)
    places, where = np.unique(d, return_inverse=True)
    mass = np.bincount(where, weights=p)
    tie = float(mass.max())
    found, rising = _local_maxima(d, p, tie, normal)
    best = max(found, key=lambda point: point.value, default=None)
    if best is None or (normal.slope <= 0.0 and best.value <= normal.value):
        if best is None and rising:
            raise FitError(
                f"Student t: {tie:.3g} of the weight is on the value {float(own.back(places[mass.argmax()])):g}: the "
                "likelihood has no maximum, it grows without bound as the scale goes to 0"
            )
        raise FitError(
            "Student t, degrees of freedom: the likelihood of these values has no maximum, it grows as df goes to ∞: their "
            f"tails are no heavier than a normal distribution's (kurtosis {kurtosis:.3g})"
        )
    scale = math.ldexp(best.scale, int(own.exponent))
    nu = 1.0 / best.eta
    _, _, hessian = _derivatives(d, p, best.eta, best.loc, best.scale)
    spread = np.sqrt(np.diag(np.linalg.inv(-hessian)) / total)
    errors = {"loc": scale * spread[0], "scale": scale * spread[1], "df": nu * nu * spread[2]}
    parameters: dict[str, float | Array] = {"df": nu, "loc": own.back(best.loc), "scale": scale}
    return fitted("Student t", StudentT, parameters, errors, total * (best.value - float(own.log_unit())))
