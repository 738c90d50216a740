"""Maximum a posteriori parameters of any log-joint density, and the Laplace approximation of the posterior.

    θ* = argmax log p(x, θ),   u* = argmax log p(x, T(u)) + log |det T'(u)|,   q(u) = N(u*, (−∇² at u*)⁻¹)
    log p(x) ≈ log p(x, T(u*)) + log |det T'(u*)| + (d/2) log 2π − ½ log |−∇²|

T maps unconstrained space onto the support of the parameters, as in `black_box`. θ* (maximum a posteriori) differs from T(u*),
since the mode of a density depends on its parameterization.

Source: bishop2006, section 4.4, eqs. 4.131–4.137; gelman2013, section 13.3.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch.distributions import biject_to

from foldin.errors import FitError
from foldin.inference.black_box import GaussianApproximation, LogJoint, Parameter
from foldin.tensors import Float64, Tensor

__all__ = ["LaplaceResult", "laplace", "maximum_a_posteriori"]

_STEPS = 500
_NEAR = 1e-10  # nats
_HALVINGS = 60


@dataclass(frozen=True, eq=False)
class LaplaceResult:
    """The Laplace approximation of the posterior and of the evidence.

    Args:
        approximation: q over the unconstrained u, which can also draw the parameters.
        log_evidence: approximation of log p(x), in nats.
    """

    approximation: GaussianApproximation
    log_evidence: float


def _highest(
    function: Callable[[Float64[Tensor, " width"]], Float64[Tensor, ""]], width: int
) -> tuple[Float64[Tensor, " width"], Float64[Tensor, "width width"]]:
    """(maximizer of the function, minus its Hessian there), by Newton steps that are halved until the function rises."""
    u = torch.zeros(width, dtype=torch.float64)
    value = float(function(u))
    for _ in range(_STEPS):
        at = u.clone().requires_grad_()
        (slope,) = torch.autograd.grad(function(at), at)
        bend: Tensor = -torch.autograd.functional.hessian(function, u)
        if not (torch.isfinite(slope).all() and torch.isfinite(bend).all()) or not bend.any():
            break
        values, vectors = torch.linalg.eigh(bend)
        concave = float(values.min()) > 1e-15 * float(values.max())
        # Absolute eigenvalues let the step lead uphill even where the function is not concave.
        divisor = values if concave else values.abs().clamp(min=1e-8 * float(values.abs().max()))
        step = vectors @ ((vectors.t() @ slope) / divisor)
        if float(slope @ step) < _NEAR:  # twice the gain of the step if the function is quadratic
            if concave and float(step.abs().max()) < 1e-4 * (1.0 + float(u.abs().max())):
                return u + step, bend
            if not concave:
                step = 0.1 * vectors[:, 0]  # away from a saddle or a minimum
        step = step * min(1.0, (5.0 + float(u.abs().max())) / float(step.abs().max())) if not concave else step
        for _ in range(_HALVINGS):
            found = float(function(u + step))
            if math.isfinite(found) and found >= value - 1e-15 * abs(value):
                break
            step = step / 2.0
        else:
            break
        u, value = u + step, found
    raise FitError(f"no maximum was found: the search ended at u = {u.tolist()} with log p = {value:g}")


def _unconstrained(parameters: Mapping[str, Parameter]) -> tuple[GaussianApproximation, int]:
    """(map from u to the parameters, dimension of u)."""
    width = sum(math.prod(biject_to(p.support).inverse_shape(p.shape)) for p in parameters.values())
    zeros, ones = torch.zeros(width, dtype=torch.float64), torch.eye(width, dtype=torch.float64)
    return GaussianApproximation(parameters, zeros, ones), width


def maximum_a_posteriori(log_joint: LogJoint, parameters: Mapping[str, Parameter]) -> dict[str, Tensor]:
    """The parameters, by name, that maximize log p(x, θ); the maximum-likelihood estimate if the prior is flat.

    Args:
        log_joint: log p(x, θ) in nats; each parameter has a leading axis, here of length 1, float64.
        parameters: parameters of `log_joint`, by name.

    Raises:
        FitError: the search finds no maximum (it may lie on the boundary of the parameters' support).
    """
    way, width = _unconstrained(parameters)
    u, _ = _highest(lambda at: log_joint(way.values(at.unsqueeze(0))[0]).squeeze(0), width)
    return {name: value.squeeze(0) for name, value in way.values(u.unsqueeze(0))[0].items()}


def laplace(log_joint: LogJoint, parameters: Mapping[str, Parameter]) -> LaplaceResult:
    """The Laplace approximation: the Gaussian with the mode and the curvature of the posterior, in unconstrained space.

    Args:
        log_joint, parameters: as in `maximum_a_posteriori`.

    Raises:
        FitError: the search finds no maximum, or the posterior is too flat there for its curvature to be inverted.
    """
    way, width = _unconstrained(parameters)

    def density(at: Tensor) -> Tensor:
        values, log_det = way.values(at.unsqueeze(0))
        return (log_joint(values) + log_det).squeeze(0)

    u, precision = _highest(density, width)
    # Factor of P with its axes reversed: P = U Uᵀ with U upper triangular, so that U⁻ᵀ is the lower factor of P⁻¹.
    backwards, bad = torch.linalg.cholesky_ex(precision.flip(0, 1))
    if int(bad):
        raise FitError("the posterior is too flat in some direction for its curvature to be inverted")
    upper = backwards.flip(0, 1)
    factor = torch.linalg.solve_triangular(upper, torch.eye(width, dtype=torch.float64), upper=True).t()
    log_evidence = float(density(u)) + 0.5 * width * math.log(2.0 * math.pi) + float(factor.diagonal().log().sum())
    return LaplaceResult(GaussianApproximation(parameters, u, factor), log_evidence)
