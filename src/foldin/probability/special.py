"""Series for small differences of large terms: lgamma, digamma and trigamma without their leading terms.

Gamma distributions of shapes 10⁸ and 2·10⁸, for example, differ in log a − ψ(a), whose two terms agree in nine of their sixteen
digits.

Source: abramowitz1964, 6.1.40, 6.3.18 and 6.4.11.
"""

import numpy as np
from scipy.special import bernoulli, gammaln, polygamma, psi

from foldin.tensors import Array

__all__ = [
    "deviance",
    "digamma_fall",
    "digamma_gap",
    "excess",
    "half_step",
    "log_ratio",
    "stirling",
    "trigamma_fall",
    "trigamma_gap",
]

_FAR = 10.0  # from here on the series are accurate to double precision
_ORDERS = 2.0 * np.arange(1, 13)
_BERNOULLI = bernoulli(24)[2::2]
_NEAR = 0.3
_ODD = 2.0 * np.arange(1, 15) + 1.0
_HALF = (np.exp2(-_ORDERS) - 1.0) * _BERNOULLI / (0.5 * _ORDERS * (_ORDERS - 1.0))


def _sum(coefficients: Array, a: Array, orders: Array) -> Array:
    """Σ c_k a^(−order k), for a of at least `_FAR`."""
    return np.asarray((coefficients * np.maximum(a, _FAR)[..., None] ** -orders).sum(-1))


def excess(d: Array) -> Array:
    """d − log(1 + d), for d > −1; at least 0."""
    d = np.asarray(d, dtype=np.float64)
    near = np.abs(d) < _NEAR
    small = np.where(near, d, 0.0)
    r = small / (2.0 + small)
    series = r * small - 2.0 * r**3 * (r[..., None] ** (_ODD - 3.0) / _ODD).sum(-1)
    large = np.where(near, 1.0, d)
    return np.where(near, series, large - np.log1p(large))


def deviance(x: Array, mean: float | Array) -> Array:
    """x log(x / mean) + mean − x, for x ≥ 0 and mean > 0: half of the deviance of a Poisson count."""
    x = np.asarray(x, dtype=np.float64)
    positive = np.where(x > 0, x, 1.0)
    return np.where(x > 0, positive * excess((mean - positive) / positive), mean)


def log_ratio(x: Array, to: float | Array) -> Array:
    """log(x / to), accurate where the two are close to each other."""
    near = (x > 0.5 * to) & (x < 2.0 * to)
    d = np.where(near, (np.where(near, x, to) - to) / to, 0.0)
    return np.where(near, np.log1p(d), np.log(x) - np.log(to))


def digamma_gap(a: float | Array) -> Array:
    """log a − ψ(a), for a > 0."""
    a = np.asarray(a, dtype=np.float64)
    far = a >= _FAR
    series = 0.5 / np.maximum(a, _FAR) + _sum(_BERNOULLI / _ORDERS, a, _ORDERS)
    small = np.where(far, 1.0, a)
    return np.where(far, series, np.log(small) - psi(small))


def digamma_fall(a: float | Array, h: float | Array) -> Array:
    """`digamma_gap(a) − digamma_gap(a + h)`, for h ≥ 0."""
    a, h = np.broadcast_arrays(np.asarray(a, dtype=np.float64), np.asarray(h, dtype=np.float64))
    far = a >= _FAR
    base = np.maximum(a, _FAR)
    rise = np.log1p(h / base)
    powers = (_BERNOULLI / _ORDERS) * base[..., None] ** -_ORDERS * -np.expm1(-_ORDERS * rise[..., None])
    return np.where(far, 0.5 / base * -np.expm1(-rise) + powers.sum(-1), digamma_gap(a) - digamma_gap(a + h))


def trigamma_gap(a: float | Array) -> Array:
    """a ψ'(a) − 1, for a > 0."""
    a = np.asarray(a, dtype=np.float64)
    far = a >= _FAR
    series = 0.5 / np.maximum(a, _FAR) + _sum(_BERNOULLI, a, _ORDERS)
    small = np.where(far, 1.0, a)
    return np.where(far, series, small * polygamma(1, small) - 1.0)


def trigamma_fall(a: float | Array, h: float | Array) -> Array:
    """t(a)/a − t(a + h)/(a + h) with t = `trigamma_gap`, for h ≥ 0."""
    a, h = np.broadcast_arrays(np.asarray(a, dtype=np.float64), np.asarray(h, dtype=np.float64))
    far = a >= _FAR
    base = np.maximum(a, _FAR)
    rise, orders = np.log1p(h / base), _ORDERS + 1.0
    powers = _BERNOULLI * base[..., None] ** -orders * -np.expm1(-orders * rise[..., None])
    direct = trigamma_gap(a) / a - trigamma_gap(a + h) / (a + h)
    return np.where(far, 0.5 / base**2 * -np.expm1(-2.0 * rise) + powers.sum(-1), direct)


def stirling(a: float | Array) -> Array:
    """log Γ(a) minus Stirling's formula, (a − ½) log a − a + ½ log 2π, for a > 0."""
    a = np.asarray(a, dtype=np.float64)
    far = a >= _FAR
    series = _sum(_BERNOULLI / (_ORDERS * (_ORDERS - 1.0)), a, _ORDERS - 1.0)
    small = np.where(far, 1.0, a)
    return np.where(far, series, gammaln(small) - ((small - 0.5) * np.log(small) - small + 0.5 * np.log(2.0 * np.pi)))


def half_step(eta: float) -> tuple[float, float, float]:
    """log Γ(a + ½) − log Γ(a) − ½ log a at a = 1/(2η), with its first and second derivative in η, for η > 0."""
    a = 0.5 / eta
    if a >= _FAR:
        odd, twice = _ORDERS - 1.0, 2.0 * eta
        value = _HALF @ twice**odd
        first = 2.0 * (_HALF * odd) @ twice ** (odd - 1.0)
        # The first term is linear: its second derivative is 0, whatever the power.
        second = 4.0 * (_HALF * odd * (odd - 1.0))[1:] @ twice ** (odd[1:] - 2.0)
        return float(value), float(first), float(second)
    value = gammaln(a + 0.5) - gammaln(a) - 0.5 * np.log(a)
    first = psi(a + 0.5) - psi(a) - 0.5 / a
    second = polygamma(1, a + 0.5) - polygamma(1, a) + 0.5 / a**2
    return float(value), float(-2.0 * a**2 * first), float(8.0 * a**3 * first + 4.0 * a**4 * second)
