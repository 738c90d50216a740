"""Exponential families: natural parameters, sufficient statistics, and the maps between natural and mean parameters.

    p(x) = h(x) exp(η · T(x) − A(η)),   ∇A(η) = E[T(x)] = μ,   ∇²A(η) = Cov[T(x)]

The map μ → η maximizes η · μ − A(η): it is the maximum-likelihood estimate for data whose statistics average to μ. A family is
defined by T, h, A and its usual parameters (`families.py`); everything here is common to all families.

Source: wainwright2008, sections 3.1 to 3.6.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import distributions as td

from foldin.errors import FitError
from foldin.tensors import Float64, Tensor

__all__ = ["ExponentialFamily"]

_HALVINGS = 60
_STEPS = 200
_SINGULAR = 1e-11  # eigenvalue of the correlations of the statistics, below which one statistic follows from the others


@dataclass(frozen=True)
class ExponentialFamily:
    """An exponential family of `torch.distributions`.

    Args:
        kind: class of its distributions.
        statistics: x → T(x), with a row for each observation; the last axis indexes the statistics.
        log_base: x → log h(x).
        log_partition: η → A(η), in nats; not finite where η is outside the natural parameter space.
        natural: distribution → η, of shape batch shape × statistics.
        from_natural: η → distribution.
        start: number of statistics → an η at which the search for others begins.
        closed: μ → η, if there is a closed form or the root of a function of one number; not finite, or outside the natural
            parameter space, where no η has this mean.
    """

    kind: type[td.Distribution]
    statistics: Callable[[Tensor], Tensor]
    log_base: Callable[[Tensor], Tensor]
    log_partition: Callable[[Tensor], Tensor]
    natural: Callable[[Any], Tensor]
    from_natural: Callable[[Tensor], td.Distribution]
    start: Callable[[int], Tensor]
    closed: Callable[[Tensor], Tensor] | None = None

    def log_prob(self, eta: Float64[Tensor, "... k"], x: Tensor) -> Tensor:
        """log h(x) + η · T(x) − A(η), in nats."""
        return self.log_base(x) + (eta * self.statistics(x)).sum(-1) - self.log_partition(eta)

    def mean(self, eta: Float64[Tensor, "... k"]) -> Float64[Tensor, "... k"]:
        """Mean statistics, μ = ∇A(η)."""
        with torch.enable_grad():
            eta = eta.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(self.log_partition(eta).sum(), eta)
        return gradient

    def information(self, eta: Float64[Tensor, " k"]) -> Float64[Tensor, "k k"]:
        """∇²A(η): the covariance of T(x), which is the Fisher information of one observation about η."""
        found: Tensor = torch.autograd.functional.hessian(self.log_partition, eta.detach())
        return found

    def from_mean(self, mu: Float64[Tensor, " k"], *, tolerance: float = 1e-10) -> Float64[Tensor, " k"]:
        """Natural parameters η with ∇A(η) = μ, by the family's `closed` if it has one, else by Newton's method.

        The steps maximize the concave function η · μ − A(η), and each is halved until the function does not fall.

        Raises:
            FitError: no η has this mean, which lies on the boundary of the possible means of T(x), or outside.
        """
        if self.closed is not None:
            eta = self.closed(mu)
            if torch.isfinite(eta).all() and torch.isfinite(self.log_partition(eta)):
                return eta
            raise self._no_parameters(mu)
        eta = self.start(len(mu)).to(torch.float64)
        value = float(eta @ mu - self.log_partition(eta))
        # Statistics that follow from the others (half of a symmetric matrix) add no information.
        rank = int((_correlation(self.information(eta))[1] > _SINGULAR).sum())
        for _ in range(_STEPS):
            slope = mu - self.mean(eta)
            scale, values, vectors = _correlation(self.information(eta))
            kept = slice(len(eta) - rank, None)
            if not torch.isfinite(values).all() or values[kept][0] < _SINGULAR:
                break  # close to the boundary, where the information vanishes
            step = scale * (vectors[:, kept] @ ((vectors[:, kept].t() @ (scale * slope)) / values[kept]))
            rise = float(slope @ step)  # twice the gain of the step if the function is quadratic
            if rise < tolerance * max(1.0, abs(value)):
                return eta + step
            for _ in range(_HALVINGS):
                found = float((eta + step) @ mu - self.log_partition(eta + step))
                if math.isfinite(found) and found >= value:
                    break
                step = step / 2.0
            else:
                break
            eta, value = eta + step, found
        raise self._no_parameters(mu)

    def _no_parameters(self, mu: Tensor) -> FitError:
        return FitError(f"{self.kind.__name__}: no parameters have the mean statistics {mu.tolist()}")

    def kl(self, eta: Float64[Tensor, "... k"], other: Float64[Tensor, "... k"]) -> Float64[Tensor, "..."]:
        """KL(η ‖ other) in nats: A(other) − A(η) − (other − η) · μ(η), a Bregman divergence of A."""
        gap = ((other - eta) * self.mean(eta)).sum(-1)
        return self.log_partition(other) - self.log_partition(eta) - gap


def _correlation(
    information: Float64[Tensor, "k k"],
) -> tuple[Float64[Tensor, " k"], Float64[Tensor, " k"], Float64[Tensor, "k k"]]:
    """(1/√diagonal, eigenvalues and eigenvectors, smallest first, of the correlation matrix that this scaling gives)."""
    scale = information.diagonal().clamp(min=1e-300).rsqrt()
    if not torch.isfinite(information).all():
        return scale, torch.full_like(scale, torch.nan), information
    values, vectors = torch.linalg.eigh(scale[:, None] * information * scale)
    return scale, values, vectors
