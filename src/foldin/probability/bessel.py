"""The ratio of Bessel functions A(κ) = I₁(κ)/I₀(κ), the mean resultant length of a von Mises distribution.

Source: mardia2000, appendix 1; abramowitz1964, 9.7.1 (the series for large κ).
"""

import math

import torch

from foldin.tensors import Float64, Tensor

__all__ = ["cosine_sd", "length", "log_bessel", "shortfall"]

_FAR = 50.0
_TERMS = 16


def _hankel(order: int) -> list[float]:
    """Coefficients of the series of √(2πκ) exp(−κ) I_order(κ) in powers of 1/κ."""
    found = [1.0]
    for k in range(1, _TERMS):
        found.append(-found[-1] * (4 * order**2 - (2 * k - 1) ** 2) / (8.0 * k))
    return found


_ZEROTH = _hankel(0)
_DIFFERENCE = [a - b for a, b in zip(_ZEROTH, _hankel(1), strict=True)]


def _polynomial(coefficients: list[float], u: Tensor) -> Tensor:
    value = torch.zeros_like(u)
    for c in reversed(coefficients):
        value = value * u + c
    return value


def _derivative(coefficients: list[float]) -> list[float]:
    return [k * c for k, c in enumerate(coefficients)][1:]


def log_bessel(kappa: Float64[Tensor, "..."]) -> Float64[Tensor, "..."]:
    """log I₀(κ) − κ."""
    return torch.log(torch.special.i0e(kappa))


def length(kappa: Float64[Tensor, "..."]) -> Float64[Tensor, "..."]:
    """A(κ) = I₁(κ)/I₀(κ), the mean resultant length, in [0, 1]."""
    return torch.special.i1e(kappa) / torch.special.i0e(kappa)


def shortfall(kappa: Float64[Tensor, "..."]) -> Float64[Tensor, "..."]:
    """1 − A(κ), which is close to 1/(2κ) for large κ, computed without cancellation."""
    far = kappa > _FAR
    u = torch.where(far, kappa, _FAR).reciprocal()
    small = torch.where(far, 1.0, kappa)
    return torch.where(far, _polynomial(_DIFFERENCE, u) / _polynomial(_ZEROTH, u), 1.0 - length(small))


def cosine_sd(kappa: float) -> float:
    """Standard deviation of cos(x − μ), √A'(κ) = √(1 − A² − A/κ), computed without cancellation.

    It is close to 1/(κ√2) for large κ.
    """
    if kappa > _FAR:
        u = torch.tensor(1.0 / kappa, dtype=torch.float64)
        top, bottom = _polynomial(_DIFFERENCE, u), _polynomial(_ZEROTH, u)
        slope = _polynomial(_derivative(_DIFFERENCE), u) * bottom - top * _polynomial(_derivative(_ZEROTH), u)
        return math.sqrt(float(slope)) / float(bottom) / kappa
    if kappa < 1e-6:
        return math.sqrt(0.5)
    a = float(length(torch.tensor(kappa, dtype=torch.float64)))
    return math.sqrt(1.0 - a * a - a / kappa)
