"""The most probable parameters of any log-joint, and the Gaussian that the posterior looks like there.

    θ* = argmax log p(x, θ),   u* = argmax log p(x, T(u)) + log |det T'(u)|,   q(u) = N(u*, (−∇² at u*)⁻¹)
    log p(x) ≈ log p(x, T(u*)) + log |det T'(u*)| + (d/2) log 2π − ½ log |−∇²|

T maps the whole space onto where the parameters may be, as in `black_box`. θ* (maximum a posteriori) is T of another u than u*:
a density's highest point moves with the scale it is written in.

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
    """The approximation and what it says of the evidence.

    Args:
        approximation: q of the unconstrained u, with draws of the parameters.
        log_evidence: log p(x), approximately, in nats.
    """

    approximation: GaussianApproximation
    log_evidence: float


def _highest(
    function: Callable[[Float64[Tensor, " width"]], Float64[Tensor, ""]], width: int
) -> tuple[Float64[Tensor, " width"], Float64[Tensor, "width width"]]:
    """(where the function is largest, minus its Hessian there): Newton steps uphill, halved until it rises."""
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
        # Uphill even where the function is not concave.
        divisor = values if concave else values.abs().clamp(min=1e-8 * float(values.abs().max()))
        step = vectors @ ((vectors.t() @ slope) / divisor)
        if float(slope @ step) < _NEAR:  # twice what a step of a quadratic function gains
            if concave and float(step.abs().max()) < 1e-4 * (1.0 + float(u.abs().max())):
                return u + step, bend
            if not concave:
                step = 0.1 * vectors[:, 0]  # off a saddle, or off a lowest point
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
    """(the way from u to the parameters, the width of u)."""
    width = sum(math.prod(biject_to(p.support).inverse_shape(p.shape)) for p in parameters.values())
    zeros, ones = torch.zeros(width, dtype=torch.float64), torch.eye(width, dtype=torch.float64)
    return GaussianApproximation(parameters, zeros, ones), width


def maximum_a_posteriori(log_joint: LogJoint, parameters: Mapping[str, Parameter]) -> dict[str, Tensor]:
    """The parameters, by name, at which log p(x, θ) is largest; maximum likelihood where the prior is flat.

    Args:
        log_joint: log p(x, θ) in nats; each parameter has a leading axis, here of one, float64.
        parameters: what it takes, by name.

    Raises:
        FitError: there is none, as far as the search goes (it may lie on the edge of the parameters' support).
    """
    way, width = _unconstrained(parameters)
    u, _ = _highest(lambda at: log_joint(way.values(at.unsqueeze(0))[0]).squeeze(0), width)
    return {name: value.squeeze(0) for name, value in way.values(u.unsqueeze(0))[0].items()}


def laplace(log_joint: LogJoint, parameters: Mapping[str, Parameter]) -> LaplaceResult:
    """The posterior as the Gaussian with its height and its curvature, in the unconstrained space.

    Args:
        log_joint, parameters: as in `maximum_a_posteriori`.

    Raises:
        FitError: the posterior has no highest point.
    """
    way, width = _unconstrained(parameters)

    def density(at: Tensor) -> Tensor:
        values, log_det = way.values(at.unsqueeze(0))
        return (log_joint(values) + log_det).squeeze(0)

    u, precision = _highest(density, width)
    # Of P backwards: P = U Uᵀ with U upper triangular, so that U⁻ᵀ is the lower factor of P⁻¹.
    backwards, bad = torch.linalg.cholesky_ex(precision.flip(0, 1))
    if int(bad):
        raise FitError("the posterior is too flat in some direction for its curvature to be inverted")
    upper = backwards.flip(0, 1)
    factor = torch.linalg.solve_triangular(upper, torch.eye(width, dtype=torch.float64), upper=True).t()
    log_evidence = float(density(u)) + 0.5 * width * math.log(2.0 * math.pi) + float(factor.diagonal().log().sum())
    return LaplaceResult(GaussianApproximation(parameters, u, factor), log_evidence)
