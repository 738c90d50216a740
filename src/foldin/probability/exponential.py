"""Exponential families: natural parameters, sufficient statistics, and the maps between natural and mean parameters.

    p(x) = h(x) exp(η · T(x) − A(η)),   ∇A(η) = E[T(x)] = μ,   ∇²A(η) = Cov[T(x)]

μ → η is where η · μ − A(η) is largest: the maximum-likelihood estimate of data whose statistics average to μ. A family is written
down by T, h, A and its own parameters (`families.py`); everything here is the same for all of them.

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
_SINGULAR = 1e-11  # eigenvalue of the correlation of statistics that one of them follows from the others


@dataclass(frozen=True)
class ExponentialFamily:
    """A family, of `torch.distributions`.

    Args:
        kind: the class of its distributions.
        statistics: x → T(x), a row an observation; the last axis counts the statistics.
        log_base: x → log h(x).
        log_partition: η → A(η), in nats; not finite where η is outside.
        natural: the distribution → η, batch shape × statistics.
        from_natural: η → the distribution.
        start: an η to look for others from.
        closed: μ → η where it is in closed form, or a root of one number; not finite, or outside, where no η has this mean.
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
        """μ = ∇A(η)."""
        with torch.enable_grad():
            eta = eta.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(self.log_partition(eta).sum(), eta)
        return gradient

    def information(self, eta: Float64[Tensor, " k"]) -> Float64[Tensor, "k k"]:
        """∇²A(η): the covariance of T(x), and the Fisher information of one observation about η."""
        found: Tensor = torch.autograd.functional.hessian(self.log_partition, eta.detach())
        return found

    def from_mean(self, mu: Float64[Tensor, " k"], *, tolerance: float = 1e-10) -> Float64[Tensor, " k"]:
        """η with ∇A(η) = μ: as the family says, or by Newton steps on the concave η · μ − A(η), halved until it rises.

        Raises:
            FitError: no η has this mean: it lies on the edge of what T(x) can average to, or outside.
        """
        if self.closed is not None:
            eta = self.closed(mu)
            if torch.isfinite(eta).all() and torch.isfinite(self.log_partition(eta)):
                return eta
            raise self._no_parameters(mu)
        eta = self.start(len(mu)).to(torch.float64)
        value = float(eta @ mu - self.log_partition(eta))
        # Statistics that follow from the others (half of a symmetric matrix) have no information of their own.
        rank = int((_correlation(self.information(eta))[1] > _SINGULAR).sum())
        for _ in range(_STEPS):
            slope = mu - self.mean(eta)
            scale, values, vectors = _correlation(self.information(eta))
            kept = slice(len(eta) - rank, None)
            if not torch.isfinite(values).all() or values[kept][0] < _SINGULAR:
                break  # on the way to the edge, where there is nothing left to be known
            step = scale * (vectors[:, kept] @ ((vectors[:, kept].t() @ (scale * slope)) / values[kept]))
            rise = float(slope @ step)  # twice what a step of a quadratic function gains
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
    """(1/√ of the diagonal, eigenvalues and eigenvectors of what is then a matrix of correlations), smallest first."""
    scale = information.diagonal().clamp(min=1e-300).rsqrt()
    if not torch.isfinite(information).all():
        return scale, torch.full_like(scale, torch.nan), information
    values, vectors = torch.linalg.eigh(scale[:, None] * information * scale)
    return scale, values, vectors
